import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { liveMembers, startTestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { chromiumPath, openBrowser } from '../support/browser.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { root } from '../support/process.ts'

// Without a browser there is nothing to try; continuous integration has to have one.
test.skipIf(chromiumPath === undefined && process.env['CI'] !== 'true')(
  'EventSource of a page on another origin listens as docs/use-from.md shows, and loses nothing over a cut',
  async () => {
    const documentation = await readFile(join(root, 'docs/use-from.md'), 'utf8')
    const [, script = ''] =
      /```js event-source\.js\nexport (async function listenByEventSource[\s\S]+?)```/.exec(documentation) ??
      []
    expect(script).toContain('createStreamTicket')
    const site = createServer((_, response) => {
      response
        .writeHead(200, { 'content-type': 'text/html' })
        .end(`<!doctype html><script>${script}</script>`)
    }).listen(0, '127.0.0.1')
    await once(site, 'listening')
    const app = await startTestApp()
    const proxy = await startFaultProxy(app.url, () => 0)
    const browser = await openBrowser()
    onTestFinished(async () => {
      await browser.close()
      await proxy.close()
      site.close()
      await app.close()
    })
    const tab = await browser.newPage()
    await tab.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}`)
    const authorization = basic(await app.backend.token('Ada'))
    await tab.evaluate(`
      window.contents = []
      const query = \`subscription ($after: String) { flowEvents(input: { flows: [{ path: "example/main" }], after: $after }) {
        ... on MessageAdded { message { ... on ChatMessage { content } } } } }\`
      const onResult = ({ data }) => window.contents.push(data.flowEvents.message?.content)
      void listenByEventSource({ gateway: ${JSON.stringify(proxy.url)}, authorization: ${JSON.stringify(authorization)}, query, onResult })
    `)
    await expect.poll(() => liveMembers(app)).toBe(1)
    const say = (content: string) =>
      app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })
    const contents = () => tab.evaluate('window.contents')

    await say('one')
    await expect.poll(contents).toEqual(['one'])
    for (let isCut = true; isCut; ) isCut = proxy.cut()
    await say('two')
    await say('three')
    await expect.poll(contents).toEqual(['one', 'two', 'three'])
    await expect.poll(() => liveMembers(app)).toBe(1)
    await say('four')
    await expect.poll(contents).toEqual(['one', 'two', 'three', 'four'])
  },
  90_000,
)
