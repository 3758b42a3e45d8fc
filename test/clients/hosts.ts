import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import type { Driver } from './drivers/driver.ts'

/** The methods of a driver, called from another process. */
export type RemoteDriver = {
  [Method in keyof Driver]: (
    ...args: Parameters<Driver[Method]>
  ) => Promise<Awaited<ReturnType<Driver[Method]>>>
}

export interface OpenDriver {
  readonly driver: RemoteDriver
  /** Errors and warnings of the library. */
  readonly complaints: readonly string[]
  close(): Promise<void>
}

/** Opens a driver for a gateway: its URL, and the token. */
export type Host = (folder: string, library: string, url: string, token: string) => Promise<OpenDriver>

export const inNode: Host = async (folder, library, url, token) => {
  const file = join(folder, 'for-node', `${library}.js`)
  const child = fork(join(import.meta.dirname, 'node-host.ts'), [file, url, token], {
    silent: true,
    execArgv: [],
  })
  const complaints: string[] = []
  child.stderr?.setEncoding('utf8').on('data', (text: string) => complaints.push(text))
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`${library} ended with ${code}: ${complaints.join('')}`)
  })
  failed.catch(() => undefined)
  await Promise.race([once(child, 'message'), failed])
  let last = 0
  const call = async (method: string, ...args: string[]) => {
    last += 1
    const id = last
    const answer = new Promise((resolve) => {
      child.on('message', function hear(message: { id: number; value: unknown }) {
        if (message.id !== id) return
        child.off('message', hear)
        resolve(message.value)
      })
    })
    child.send({ id, method, args })
    return Promise.race([answer, failed])
  }
  return {
    driver: remote(call),
    complaints,
    async close() {
      const gone = once(child, 'exit')
      child.kill()
      await gone
    },
  }
}

/** A host whose pages are on an origin of their own. */
export function inBrowser(browser: () => Browser): Host {
  return async (folder, library, url, token) => {
    const site = createServer((request, response) => {
      if (request.url === '/')
        return void response
          .writeHead(200, { 'content-type': 'text/html' })
          .end('<!doctype html><link rel="icon" href="data:,"><title>Driver</title>')
      readFile(join(folder, 'for-browsers', request.url ?? '')).then(
        (script) => response.writeHead(200, { 'content-type': 'text/javascript' }).end(script),
        () => response.writeHead(404).end(),
      )
    }).listen(0, '127.0.0.1')
    await once(site, 'listening')
    const tab = await browser().newPage()
    const complaints: string[] = []
    tab.on('pageerror', (error) => complaints.push(String(error)))
    tab.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    await tab.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`)
    await tab.evaluate(`import('/${library}.js').then(({ createDriver }) => {
      window.driver = createDriver(${JSON.stringify(url)}, ${JSON.stringify(token)})
    })`)
    const call = (method: string, ...args: string[]) =>
      tab.evaluate(`window.driver.${method}(...${JSON.stringify(args)})`)
    return {
      driver: remote(call),
      complaints,
      async close() {
        await tab.close()
        site.close()
      },
    }
  }
}

function remote(call: (method: string, ...args: string[]) => Promise<unknown>): RemoteDriver {
  return new Proxy({} as RemoteDriver, {
    get: (_, method) =>
      method === 'then' ? undefined : (...args: string[]) => call(String(method), ...args),
  })
}
