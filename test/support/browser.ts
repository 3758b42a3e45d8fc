import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** Where distributions put Chromium. `CHROMIUM` names another place. */
const places = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]

export const chromiumPath = places.find((path) => path !== undefined && existsSync(path))

/** A headless browser that talks to nothing but the pages it is sent to. */
export async function openBrowser(): Promise<Browser> {
  if (chromiumPath === undefined)
    throw new Error('Chromium is not installed: install your distribution’s package, or set CHROMIUM')
  return chromium.launch({
    executablePath: chromiumPath,
    // Whether there is a scrollbar matters to those who look for what is out of view.
    ignoreDefaultArgs: ['--hide-scrollbars'],
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
