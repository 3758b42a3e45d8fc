import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/* What the project stands on: versions with known holes, and programs that run when it is installed, stay out. */

const root = join(import.meta.dirname, '..')

interface Package {
  readonly version: string
  readonly hasInstallScript?: boolean
  readonly resolved?: string
}

const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, Package>
}
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
const installed = Object.entries(lock.packages)
  .filter(([path]) => path !== '')
  .map(([path, details]) => ({ name: nameOf(path), ...details }))

test.each([
  ['graphql', '16.15.0'],
  ['ws', '8.17.1'],
  ['undici', '6.24.0'],
  ['eventsource', '2.0.2'],
])('%s is %s or newer, wherever the gateway uses it', (name, floor) => {
  const own = lock.packages[`node_modules/${name}`]
  expect(own).toBeDefined()
  const number = (version = '') =>
    version
      .split('.')
      .map((part) => part.padStart(6, '0'))
      .join('.')
  expect(number(own?.version) >= number(floor)).toBe(true)
})

test.each(['dicer', 'graphql-upload', 'subscriptions-transport-ws'])('%s is not among them', (name) => {
  expect(installed.filter((each) => each.name === name)).toEqual([])
})

test('packages that run something when they are installed are those that may', async () => {
  const { allowScripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    allowScripts: Record<string, boolean>
  }
  const running = new Set(
    installed.filter(({ hasInstallScript }) => hasInstallScript).map(({ name }) => name),
  )
  expect(
    [...running].filter((name) => allowScripts[name] !== true && !['fsevents', 'sharp'].includes(name)),
  ).toEqual([])
})

test('the lock names no registry', () => {
  expect(installed.filter(({ resolved }) => resolved !== undefined)).toEqual([])
})

test('what the gateway imports is a dependency, so that it starts without development packages', async () => {
  const { dependencies, optionalDependencies } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  ) as Record<'dependencies' | 'optionalDependencies', Record<string, string>>
  const files = (await readdir(join(root, 'src'), { recursive: true })).filter((file) => file.endsWith('.ts'))
  const texts = await Promise.all(files.map((file) => readFile(join(root, 'src', file), 'utf8')))
  const imported = texts.flatMap((text) =>
    [...text.matchAll(/(?:from |import\()'((?:@[^/'\s]+\/)?[\w-][^/'\s]*)/g)].map(([, name = '']) => name),
  )
  const needed = new Set(imported.filter((name) => !name.startsWith('node:')))
  expect(needed.size).toBeGreaterThan(20)
  expect([...needed].filter((name) => !(name in dependencies) && !(name in optionalDependencies))).toEqual([])
})
