import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeFolder } from '../support/backend.ts'
import { makeFlowExport } from '../support/flow-export.ts'
import { root, run, runShell } from '../support/process.ts'

/* The commands that the documentation shows, run as they are shown and in its order. */

const shown = 'npx node src/main.ts '

async function commandsOf(page: string): Promise<string[]> {
  const text = await readFile(join(root, 'docs', page), 'utf8')
  const blocks = [...text.matchAll(/```sh\n([\s\S]+?)```/g)].map(([, block = '']) => block)
  return blocks.flatMap((block) => block.split('\n').filter((line) => line.startsWith(shown)))
}

test('every command that the pages show works', async () => {
  const [dataDir, restored, backups] = [await makeFolder(), await makeFolder(), await makeFolder()]
  const zip = join(await makeFolder(), 'acme-main.zip')
  await rename(await makeFlowExport(), zip)
  const pages = ['embedded-backend.md', 'flowthings.md']
  const commands = (await Promise.all(pages.map(commandsOf))).flat()
  expect(commands.length).toBeGreaterThan(15)
  for (const command of commands) {
    const running = runShell(
      `sh -c 'printf secret | exec "$@"' sh ${command
        .replace('npx node', `"${process.execPath}"`)
        .replace('acme-main.zip', zip)
        .replace('/backups', backups)}`,
      { DATA_DIR: command.includes(' restore ') ? restored : dataDir },
    )
    expect(await running.exited, `${command}\n${running.output.stderr}`).toBe(0)
  }
})

test('every command that a page names is one of the help', async () => {
  const help = run(['src/main.ts', 'help'])
  expect(await help.exited).toBe(0)
  const pages = [
    'embedded-backend',
    'flowthings',
    'applications',
    'operations',
    'scale',
    'live-queries',
    'configuration',
  ]
  const texts = await Promise.all(pages.map((page) => readFile(join(root, `docs/${page}.md`), 'utf8')))
  const named = texts.flatMap((text) => [...text.matchAll(/npx node src\/main\.ts ([a-z-]+)/g)])
  expect(named.length).toBeGreaterThan(20)
  for (const [, command = ''] of named)
    expect(help.output.stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'))
})
