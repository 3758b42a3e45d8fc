import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { basic, makeFolder } from '../support/backend.ts'
import { chromiumPath, openBrowser } from '../support/browser.ts'
import { root, runGateway } from '../support/process.ts'

/** Pictures for the README are taken where this names a folder. */
const pictures = process.env['PICTURES']

// Without a browser there is nothing to try; continuous integration has to have one.
const testInBrowser = test.skipIf(chromiumPath === undefined && process.env['CI'] !== 'true')

testInBrowser(
  'GraphiQL explores, listens and changes, all from files of its own',
  async () => {
    const gateway = await runGateway(await makeFolder())
    const browser = await openBrowser()
    onTestFinished(() => browser.close())
    const context = await browser.newContext({ viewport: { width: 1280, height: 760 } })
    const foreign: string[] = []
    const problems: string[] = []
    await context.route('**/*', (route) => {
      const { host, protocol } = new URL(route.request().url())
      if (host === new URL(gateway.url).host || protocol === 'data:' || protocol === 'blob:')
        return route.continue()
      foreign.push(route.request().url())
      return route.abort()
    })
    const listening = await context.newPage()
    const changing = await context.newPage()
    for (const page of [listening, changing]) {
      page.on('pageerror', (error) => problems.push(String(error)))
      page.on('console', (message) => {
        if (message.type() === 'error') problems.push(message.text())
      })
      await page.goto(gateway.pageUrl)
      await page.getByRole('tab', { name: 'FirstQuery' }).waitFor()
    }

    await execute(listening)
    await expect.poll(() => response(listening), { timeout: 10_000 }).toContain('"nick": "Ada"')
    await picture(listening, 'first-query')

    await openTab(listening, 'LiveQuery')
    await execute(listening)
    // The stop button says that the subscription was sent; the stream behind it is open once something is heard.
    await listening.getByRole('button', { name: 'Stop query' }).waitFor()

    await openTab(changing, 'SendMessage')
    await expect
      .poll(
        async () => {
          await execute(changing)
          await expect.poll(() => response(changing), { timeout: 5000 }).toContain('"sentMessage"')
          return response(listening)
        },
        { timeout: 15_000, interval: 500 },
      )
      .toContain('Hello from GraphiQL #hello')
    // Whoever listens sees whether they do.
    expect(await listening.getByRole('status').innerText()).toBe('Live: connected')
    expect(await changing.locator('#live-state').innerText()).toBe('Live: not connected')
    await picture(listening, 'live-query')
    await listening.getByRole('button', { name: 'Stop query' }).click()
    await expect.poll(() => listening.locator('#live-state').innerText()).toBe('Live: not connected')

    // Fields can be picked instead of typed.
    await changing.getByRole('button', { name: 'Show GraphiQL Explorer' }).click()
    await changing.locator('.graphiql-plugin').getByText('runThreadAction').waitFor()
    await picture(changing, 'explorer')
    await changing.emulateMedia({ colorScheme: 'dark' })
    const isDark = () => changing.evaluate(() => document.body.classList.contains('graphiql-dark'))
    const background = await changing.evaluate(
      () => getComputedStyle(document.querySelector('.graphiql-container') as Element).backgroundColor,
    )
    expect((await isDark()) || background === 'rgb(33, 42, 59)', background).toBe(true)

    expect(foreign).toEqual([])
    expect(problems).toEqual([])
  },
  60_000,
)

testInBrowser(
  'a live query goes on behind its last event when the gateway was started again',
  async () => {
    const dataDir = await makeFolder()
    const first = await runGateway(dataDir)
    const browser = await openBrowser()
    onTestFinished(() => browser.close())
    const page = await (await browser.newContext()).newPage()
    await page.goto(first.pageUrl)
    await page.getByRole('tab', { name: 'FirstQuery' }).waitFor()
    await expect.poll(() => insist(page), { timeout: 20_000, interval: 500 }).toContain('"nick": "Ada"')
    await openTab(page, 'LiveQuery')
    await execute(page)
    await page.getByRole('button', { name: 'Stop query' }).waitFor()
    const say = async (url: string, content: string) => {
      const answer = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: basic(first.token) },
        body: JSON.stringify({
          query:
            'mutation ($content: String!) { sendMessage(input: { flow: { path: "example/main" }, content: $content }) { __typename } }',
          variables: { content },
        }),
      })
      expect((await answer.json()).data.sendMessage.__typename).toBe('SendMessagePayload')
    }
    await expect
      .poll(
        async () => {
          await say(first.url, 'before')
          return response(page)
        },
        { timeout: 15_000, interval: 500 },
      )
      .toContain('before')
    first.child.kill('SIGTERM')
    expect(await first.exited).toBe(0)
    await page.getByText('Live: not connected').waitFor()
    const second = await runGateway(dataDir, { PORT: new URL(first.url).port })
    await say(second.url, 'while nobody listened')
    await page.getByText('Live: connected').waitFor({ timeout: 20_000 })
    await expect.poll(() => response(page), { timeout: 10_000 }).toContain('while nobody listened')
  },
  60_000,
)

testInBrowser(
  'the key of the terminal gives one tab the token, which stays there',
  async () => {
    const gateway = await runGateway(await makeFolder())
    expect(gateway.output.stdout).not.toContain(gateway.token)
    const browser = await openBrowser()
    onTestFinished(() => browser.close())
    const context = await browser.newContext()
    const page = await context.newPage()
    const open = async (each: Page, url: string) => {
      await each.goto(url)
      await each.getByRole('tab', { name: 'FirstQuery' }).waitFor()
    }
    const isSignedIn = async (each: Page) => {
      await expect
        .poll(() => insist(each), { timeout: 20_000, interval: 500 })
        .toMatch(/"nick": "Ada"|UNAUTHENTICATED/)
      return (await response(each)).includes('"nick": "Ada"')
    }
    await open(page, gateway.pageUrl)
    // The key is in no address bar, and so in no bookmark.
    expect(page.url()).toBe(`${gateway.url}/graphql`)
    expect(await isSignedIn(page)).toBe(true)
    await page.reload()
    await page.getByRole('tab', { name: 'FirstQuery' }).waitFor()
    expect(await isSignedIn(page)).toBe(true)
    const kept = await page.evaluate(() => JSON.stringify(localStorage) + document.cookie)
    expect(kept).not.toContain(btoa(`${gateway.token}:`))
    const other = await context.newPage()
    await open(other, `${gateway.url}/graphql`)
    expect(await isSignedIn(other)).toBe(false)
  },
  60_000,
)

/** Opens a tab, and waits until GraphiQL has noticed which operation is in it: until then it would run the old one. */
async function openTab(page: Page, name: string): Promise<void> {
  await page.getByRole('tab', { name }).click()
  const noticed = () =>
    page.evaluate(() => {
      const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState') ?? '{"tabs":[]}')
      return tabs[activeTabIndex]?.operationName as string | undefined
    })
  await expect.poll(noticed, { timeout: 10_000 }).toBe(name)
}

async function execute(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Execute query' }).click()
}

/** The response; executes the query while there is none: a page that is still loading does not notice a click. */
async function insist(page: Page): Promise<string> {
  const text = await response(page)
  const button = page.getByRole('button', { name: 'Execute query' })
  if (text === '' && (await button.isVisible())) await button.click()
  return text
}

function response(page: Page): Promise<string> {
  return page
    .locator('.graphiql-response')
    .innerText()
    .then((text) => text.replaceAll('\u00a0', ' '))
}

async function picture(page: Page, name: string): Promise<void> {
  if (pictures === undefined) return
  await mkdir(join(root, pictures), { recursive: true })
  await page.screenshot({ path: join(root, pictures, `${name}.png`) })
}
