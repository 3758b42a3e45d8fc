import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Locator, Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { basic, makeFolder } from '../support/backend.ts'
import { chromiumPath, openBrowser } from '../support/browser.ts'
import { root, runGateway } from '../support/process.ts'

/** Pictures for the README are taken where this names a folder. */
const pictures = process.env['PICTURES']

// Without a browser there is nothing to try; continuous integration has to have one.
const testInBrowser = test.skipIf(chromiumPath === undefined && process.env['CI'] !== 'true')

testInBrowser(
  'GraphiQL shows the schema and runs queries, all from files of its own',
  async () => {
    const { page, foreign, problems } = await openPage()
    // Nothing was started, so nothing is amiss.
    expect(await page.locator('#live-state').innerText()).toBe('Live: idle')
    expect(await hiddenTabs(page)).toEqual([])
    await expect.poll(() => insist(page), { interval: 500 }).toContain('"nick": "Ada"')
    expect(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight)).toBe(0)
    await picture(page, 'first-query')

    // With more tabs than there is room for, they scroll, and the one that is opened is in view.
    for (let more = 0; more < 12; more += 1) await page.getByRole('button', { name: 'New tab' }).click()
    await expect.poll(() => page.getByRole('tab').count()).toBe(24)
    expect(await hiddenTabs(page)).toEqual([])
    await expect.poll(() => isInView(page.getByRole('tab').last())).toBe(true)
    for (let more = 0; more < 12; more += 1)
      await page.getByRole('tab').last().getByRole('button', { name: 'Close Tab' }).click()

    // Fields can be picked instead of typed.
    await openTab(page, 'SendMessage')
    await page.setViewportSize({ width: 1000, height: 700 })
    await page.getByRole('button', { name: 'Show GraphiQL Explorer' }).click()
    await page.locator('.graphiql-plugin').getByText('runThreadAction').waitFor()
    await page.locator('.graphiql-plugin input[value="example/main"]:focus').waitFor()
    expect(await scrolledAside(page)).toEqual([])
    await page.setViewportSize({ width: 1280, height: 800 })
    await picture(page, 'explorer')
    await page.emulateMedia({ colorScheme: 'dark' })
    const isDark = () => page.evaluate(() => document.body.classList.contains('graphiql-dark'))
    const background = await page.evaluate(
      () => getComputedStyle(document.querySelector('.graphiql-container') as Element).backgroundColor,
    )
    expect((await isDark()) || background === 'rgb(33, 42, 59)', background).toBe(true)

    expect(foreign).toEqual([])
    expect(problems).toEqual([])
  },
  60_000,
)

testInBrowser(
  'the live pane lists events beside whatever tab is open, until the subscription is stopped',
  async () => {
    const { gateway, page, foreign, problems } = await openPage()
    await expect.poll(() => insist(page), { interval: 500 }).toContain('"nick": "Ada"')
    await openTab(page, 'LiveQuery')
    await execute(page)
    await page.getByRole('button', { name: 'Stop query' }).waitFor()
    await page.getByText('Live: connected').waitFor()
    expect(await hiddenTabs(page)).toEqual([])

    // Another tab is opened, and what happens is listed beside it. The subscription is open once something is listed.
    await openTab(page, 'SendMessage')
    await expect
      .poll(
        async () => {
          await execute(page)
          await expect.poll(() => response(page)).toContain('"sentMessage"')
          return page.getByRole('log').innerText()
        },
        { interval: 500 },
      )
      .toContain('Hello from GraphiQL #hello')
    const events = page.locator('.live-entry.event')
    for (const content of ['Version 2.5 is out #release', 'Thank you, everybody']) {
      await say(gateway, content)
      await events.filter({ hasText: `MessageAdded · Ada Byron · ${content}` }).waitFor()
    }
    const before = await events.count()
    expect(before).toBeGreaterThanOrEqual(3)
    await picture(page, 'live-query')

    // All of an event is there to be read.
    await events.first().locator('summary').click()
    expect(await events.first().innerText()).toContain('"__typename": "MessageAdded"')

    // A pause holds back what comes.
    await page.getByRole('button', { name: /^Hold events back/ }).click()
    await say(gateway, 'three')
    await page.getByText('Paused: 1 waiting').waitFor()
    expect(await events.count()).toBe(before)
    await page.getByRole('button', { name: /^Show the events/ }).click()
    await expect.poll(() => events.count()).toBe(before + 1)

    await page.getByRole('button', { name: /^Copy all/ }).click()
    await page.getByText(/^Copied \d+ lines$/).waitFor()
    const copied = (await page.evaluate(() => navigator.clipboard.readText())).split('\n')
    const texts = copied.map((line) => JSON.parse(line).result?.data.flowEvents.message?.content)
    expect(texts.slice(-3)).toEqual(['Version 2.5 is out #release', 'Thank you, everybody', 'three'])

    await page.getByRole('button', { name: /^Empty the log/ }).click()
    expect(await events.count()).toBe(0)
    await page.getByRole('button', { name: 'Stop LiveQuery' }).click()
    await page.getByText('LiveQuery was stopped.').waitFor()
    expect(await page.locator('#live-state').innerText()).toBe('Live: idle')

    // The button that started it stops it, too.
    await openTab(page, 'LiveQuery')
    await execute(page)
    await page.getByText('Live: connected').waitFor()
    await page.getByRole('button', { name: 'Stop query' }).click()
    await page.getByText('Live: idle').waitFor()
    await expect.poll(() => response(page)).toContain('LiveQuery was stopped.')

    expect(foreign).toEqual([])
    expect(problems).toEqual([])
  },
  120_000,
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
    await expect.poll(() => insist(page), { interval: 500 }).toContain('"nick": "Ada"')
    await openTab(page, 'LiveQuery')
    await execute(page)
    await page.getByRole('button', { name: 'Stop query' }).waitFor()
    await expect
      .poll(
        async () => {
          await say(first, 'before')
          return page.locator('#live-pane').innerText()
        },
        { interval: 500 },
      )
      .toContain('before')
    first.child.kill('SIGTERM')
    expect(await first.exited).toBe(0)
    await page.getByText('Live: connection lost, reconnecting…').waitFor()
    const second = await runGateway(dataDir, { PORT: new URL(first.url).port })
    await say(second, 'while nobody listened')
    await page.getByText('Live: connected').waitFor({ timeout: 20_000 })
    const listed = () => page.getByRole('log').innerText()
    await expect.poll(listed).toContain('while nobody listened')
    expect(await listed()).toContain('Connected again. What happened meanwhile follows.')
  },
  60_000,
)

testInBrowser(
  'flowthings has tabs of its own, each of which shows something, and its live drops are listed beside them',
  async () => {
    const { page, foreign, problems } = await openPage({ FLOWTHINGS_PORT: '0' })
    await expect.poll(() => page.getByRole('tab').count()).toBeGreaterThan(14)
    expect(await hiddenTabs(page)).toEqual([])
    await expect.poll(() => page.locator('#token-state').innerText()).toBe('Demo token')
    // A page that is still loading does not notice a click.
    await expect.poll(() => insist(page), { interval: 500 }).toContain('"nick": "Ada"')
    for (const [tab, shown] of [
      ['LatestDrops', '"celsius"'],
      ['FilteredDrops', '"sensor"'],
      ['AverageTemperatures', '"rowCount"'],
    ] as const) {
      await openTab(page, tab)
      await execute(page)
      await expect.poll(() => response(page)).toContain(shown)
      expect(await response(page)).not.toContain('"errors"')
      await picture(page, tab)
    }

    await openTab(page, 'LiveDrops')
    await execute(page)
    await page.getByText('Live: connected').waitFor()
    await openTab(page, 'AddDrop')
    const events = page.locator('.live-entry.event')
    // The subscription is open once a drop is listed. The track copies each drop to the alarms.
    await expect
      .poll(
        async () => {
          await execute(page)
          await expect.poll(() => response(page)).toContain('"createDrop"')
          return page.getByRole('log').innerText()
        },
        { interval: 1000 },
      )
      .toContain('/demo/greenhouse/alarms')
    await events
      .filter({ hasText: 'DropAdded · /demo/greenhouse/temperature · roof · 33.5 · 44' })
      .first()
      .waitFor()
    await events
      .filter({ hasText: 'DropAdded · /demo/greenhouse/alarms · roof · 33.5 · 44' })
      .first()
      .waitFor()
    await picture(page, 'live-drops')
    await openTab(page, 'SensorSpeaksUp')
    await execute(page)
    await expect.poll(() => response(page)).toContain('"ruleStatus": "ACTIVE"')
    await picture(page, 'rule')
    expect(foreign).toEqual([])
    expect(problems).toEqual([])
  },
  120_000,
)

testInBrowser(
  'a tab that has one of two demo tokens says so',
  async () => {
    const { page } = await openPage({ FLOWTHINGS_PORT: '0' })
    const state = page.locator('#token-state')
    await expect.poll(() => state.innerText()).toBe('Demo token')
    const headers = page.locator('section[aria-label="Headers"] .view-lines').last()
    await headers.click()
    for (const [keys, label] of [
      ['{"X-Auth-Account": "demo"}', 'No token'],
      ['{"Authorization": "Basic eDo="}', 'Own token'],
    ] as const) {
      await page.keyboard.press('Control+A')
      await page.evaluate((text) => navigator.clipboard.writeText(text), keys)
      await page.keyboard.press('Control+V')
      await expect.poll(() => state.innerText()).toContain(label)
    }
    await page.getByTitle('Put the demo token back').click()
    await expect.poll(() => state.innerText()).toBe('Demo token')
    // The first header is that of Flowdock.
    await headers.click()
    await page.keyboard.press('Control+Home')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Shift+ArrowDown')
    await page.keyboard.press('Delete')
    await expect.poll(() => state.innerText()).toContain('Part of the demo')
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
      await expect.poll(() => insist(each), { interval: 500 }).toMatch(/"nick": "Ada"|UNAUTHENTICATED/)
      return (await response(each)).includes('"nick": "Ada"')
    }
    await open(page, gateway.pageUrl)
    // The key is in no address bar, and so in no bookmark.
    await page.waitForURL(`${gateway.url}/graphql`)
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

testInBrowser(
  'a tab whose Authorization was deleted is sent without the demo token, and says so',
  async () => {
    const { gateway, page } = await openPage()
    const token = page.locator('#token-state')
    await expect.poll(() => token.innerText()).toBe('Demo token')
    await expect.poll(() => insist(page), { interval: 500 }).toContain('"nick": "Ada"')

    await page.locator('section[aria-label="Headers"] .view-lines').last().click()
    await page.keyboard.press('Control+A')
    await page.keyboard.press('Delete')
    await expect.poll(() => token.innerText()).toContain('No token')
    expect(await hiddenTabs(page)).toEqual([])
    await execute(page)
    await expect.poll(() => response(page)).toContain('"code": "UNAUTHENTICATED"')

    await page.getByTitle('Put the demo token back').click()
    await expect.poll(() => token.innerText()).toBe('Demo token')
    await execute(page)
    await expect.poll(() => response(page)).toContain('"nick": "Ada"')

    // Neither the token nor the headers outlive the page in what the browser stores for good.
    const stored = await page.evaluate(() => JSON.stringify(localStorage))
    expect(stored).not.toContain(btoa(`${gateway.token}:`))
  },
  60_000,
)

testInBrowser(
  'the page has an icon',
  async () => {
    const gateway = await runGateway(await makeFolder())
    const page = await (await fetch(`${gateway.url}/graphql`, { headers: { accept: 'text/html' } })).text()
    const [, icon = ''] = /<link rel="icon"[^>]* href="([^"]+)"/.exec(page) ?? []
    const answer = await fetch(gateway.url + icon)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'image/svg+xml'])
    expect(await answer.text()).toMatch(/^<svg /)
  },
  60_000,
)

/** The page of a gateway of its own, and what went wrong there: requests elsewhere and errors. @param settings of the gateway */
async function openPage(settings: Record<string, string> = {}) {
  const gateway = await runGateway(await makeFolder(), settings)
  const browser = await openBrowser()
  onTestFinished(() => browser.close())
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  context.setDefaultTimeout(20_000)
  const foreign: string[] = []
  const problems: string[] = []
  await context.route('**/*', (route) => {
    const { host, protocol } = new URL(route.request().url())
    if (host === new URL(gateway.url).host || protocol === 'data:' || protocol === 'blob:')
      return route.continue()
    foreign.push(route.request().url())
    return route.abort()
  })
  const page = await context.newPage()
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text())
  })
  await page.goto(gateway.pageUrl)
  await page.getByRole('tab', { name: 'FirstQuery' }).waitFor()
  return { gateway, page, foreign, problems }
}

/** Sends a message as Ada. */
async function say({ url, token }: { url: string; token: string }, content: string): Promise<void> {
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: basic(token) },
    body: JSON.stringify({
      query:
        'mutation ($content: String!) { sendMessage(input: { flow: { path: "example/main" }, content: $content }) { __typename } }',
      variables: { content },
    }),
  })
  expect((await answer.json()).data.sendMessage.__typename).toBe('SendMessagePayload')
}

/** Tabs that are out of sight without a scrollbar that leads to them. */
function hiddenTabs(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const list = document.querySelector('.graphiql-tabs') as HTMLElement
    const scrolls = list.offsetWidth > list.clientWidth || list.offsetHeight > list.clientHeight
    const { left, right, top, bottom } = list.getBoundingClientRect()
    return [...list.querySelectorAll('[role="tab"]')]
      .filter((tab) => {
        const box = tab.getBoundingClientRect()
        const isInside =
          box.left >= left - 1 && box.right <= right + 1 && box.top >= top - 1 && box.bottom <= bottom + 1
        return !(isInside || scrolls) || right > innerWidth
      })
      .map((tab) => tab.textContent ?? '')
  })
}

/** Parts of the sidebar that are scrolled to the right, so that the beginnings of their lines are out of sight. */
function scrolledAside(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('.graphiql-plugin, .graphiql-plugin *')]
      .filter((part) => part.scrollLeft > 0)
      .map((part) => part.className),
  )
}

function isInView(tab: Locator): Promise<boolean> {
  return tab.evaluate((element) => {
    const [box, list] = [element, element.closest('.graphiql-tabs') as Element].map((each) =>
      each.getBoundingClientRect(),
    ) as [DOMRect, DOMRect]
    return box.top >= list.top - 1 && box.bottom <= list.bottom + 1
  })
}

/** Opens a tab, and waits until GraphiQL has noticed which operation is in it: until then it would run the old one. */
async function openTab(page: Page, name: string): Promise<void> {
  await page.getByRole('tab', { name }).click()
  const noticed = () =>
    page.evaluate(() => {
      const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState') ?? '{"tabs":[]}')
      return tabs[activeTabIndex]?.operationName as string | undefined
    })
  await expect.poll(noticed).toBe(name)
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
