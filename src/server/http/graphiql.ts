import { createReadStream, existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { packageFile } from '../../package-files.ts'
import { acceptsGzip } from '../negotiation.ts'

const assets = packageFile('assets/graphiql/')
const examples = packageFile('examples/')
const types: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
  ttf: 'font/ttf',
}

/** Headers with credentials, by their names. */
export type CredentialHeaders = Readonly<Record<string, string>>

export interface Graphiql {
  /** The page. @param headers for its requests, if the reader may have the credentials */
  servePage(response: ServerResponse, headers: CredentialHeaders | undefined): void
  /** Serves an asset. @returns false when there is none of this name */
  serveAsset(name: string, request: IncomingMessage, response: ServerResponse): boolean
}

/**
 * GraphiQL from files of this package alone: it works without a network.
 *
 * @param thingsAccount the account that the examples of flowthings read; undefined where there is no flowthings
 * @returns undefined where it was not built, as after `npm ci --omit=dev`
 */
export async function loadGraphiql(thingsAccount: string | undefined): Promise<Graphiql | undefined> {
  if (!existsSync(new URL('manifest.json', assets))) return undefined
  const manifest = JSON.parse(await readFile(new URL('manifest.json', assets), 'utf8')) as {
    script: string
    style: string
    icon: string
  }
  const names = new Set(await readdir(assets))
  const tabs = [
    ...(await loadExamples(examples)),
    ...(thingsAccount === undefined ? [] : await loadThingsExamples(thingsAccount)),
  ]

  return {
    servePage(response, headers = {}) {
      const settings = { headers, tabs }
      response.writeHead(200, {
        'Content-Type': 'text/html; charset=utf-8',
        'Cache-Control': 'no-store',
        'Referrer-Policy': 'no-referrer',
        // Editors style themselves and draw their icons inline; everything else comes from here.
        'Content-Security-Policy':
          "default-src 'none'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; " +
          "font-src 'self' data:; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
      })
      response.end(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>flowdock-gateway</title>' +
          '<meta name="viewport" content="width=device-width"><style>html,body,#graphiql{height:100%;margin:0}</style>' +
          `<link rel="icon" type="image/svg+xml" href="/graphiql/${manifest.icon}">` +
          `<link rel="stylesheet" href="/graphiql/${manifest.style}">` +
          `<script id="settings" type="application/json">${JSON.stringify(settings).replaceAll('<', '\\u003c')}</script>` +
          `<script type="module" src="/graphiql/${manifest.script}"></script></head>` +
          '<body><div id="graphiql"></div></body></html>',
      )
    },
    serveAsset(name, request, response) {
      const type = types[name.slice(name.lastIndexOf('.') + 1)]
      if (type === undefined || !names.has(`${name}.gz`)) return false
      const compressed = acceptsGzip(request)
      response.writeHead(200, {
        'Content-Type': type,
        'Cache-Control': 'public, max-age=31536000, immutable',
        Vary: 'Accept-Encoding',
        ...(compressed ? { 'Content-Encoding': 'gzip' } : {}),
      })
      const file = createReadStream(new URL(`${name}.gz`, assets))
      const sent = compressed ? pipeline(file, response) : pipeline(file, createGunzip(), response)
      // The client may leave before the end.
      sent.catch(() => response.destroy())
      return true
    },
  }
}

/** The example queries in the order of their file names: the tabs GraphiQL opens with. */
async function loadExamples(folder: URL): Promise<string[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.graphql')).sort()
  return Promise.all(files.map((name) => readFile(new URL(name, folder), 'utf8')))
}

/** The examples of flowthings, with the flows of an account in place of those of `demo`. */
async function loadThingsExamples(account: string): Promise<string[]> {
  const texts = await loadExamples(new URL('flowthings/', examples))
  return texts.map((text) => text.replaceAll('"/demo/', `"/${account}/`))
}
