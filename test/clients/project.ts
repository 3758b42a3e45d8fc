import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../support/process.ts'

const execute = promisify(execFile)
const installed = join(import.meta.dirname, 'node_modules')
const page = await readFile(join(root, 'docs/use-from.md'), 'utf8')

/** The blocks of code of docs/use-from.md. The second word of a fence is the name of the file, or `run`. */
export const blocks = [...page.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]+?)^```$/gm)].map(
  ([, language = '', name, code = '']) => ({ language, name, code }),
)

/** The rows of its table: packages with their versions. */
export const documentedVersions = [...page.matchAll(/^\| (`@?[a-z][^|]*) \| ([\d., ]+) \|/gm)].flatMap(
  ([, names = '', versions = '']) => {
    const list = versions.split(', ')
    return [...names.matchAll(/`([^`]+)`/g)].map(([, name], index) => [name, list[index]] as const)
  },
)

export interface Project {
  readonly folder: string
  /** Runs a program of the project, and returns what it printed. */
  run(command: string, args: readonly string[]): Promise<string>
}

/** An application that has copied the code of the page, with its packages installed and its code generated. */
export async function makeProject(folder: string, gatewayUrl: string): Promise<Project> {
  const modules = join(folder, 'node_modules')
  await mkdir(modules)
  for (const name of await readdir(installed))
    if (!/^\.(package-lock|cache|vite)/.test(name)) await symlink(join(installed, name), join(modules, name))
  await linkGateway(join(modules, 'flowdock-gateway'))
  await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  for (const { name, code } of blocks)
    if (name !== undefined && name !== 'run') await writeFile(join(folder, name), code)
  await cp(join(import.meta.dirname, 'drivers'), join(folder, 'drivers'), { recursive: true })

  const env = { ...process.env, PATH: `${join(modules, '.bin')}${delimiter}${process.env['PATH']}` }
  const run = async (command: string, args: readonly string[]) => {
    const { stdout } = await execute(command, args, { cwd: folder, env }).catch(
      ({ stdout, stderr, message }) => {
        throw new Error(`${message}\n${stdout}${stderr}`)
      },
    )
    return stdout
  }
  for (const { code } of blocks.filter(({ name }) => name === 'run'))
    await run('sh', ['-ec', code.replaceAll('http://127.0.0.1:4000', gatewayUrl)])
  await run(process.execPath, [join(import.meta.dirname, 'bundle.ts')])
  return { folder, run }
}

/** The package as it is installed, with its sources in place of what is built from them. */
async function linkGateway(folder: string): Promise<void> {
  const { name, exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const sources = Object.entries<{ default?: string } | string>(exports).flatMap(([path, target]) => {
    if (typeof target === 'string') return [[path, target] as const]
    const source = target.default?.replace('./dist/', './src/').replace(/\.js$/, '.ts')
    return source?.startsWith('./src/client/') ? [[path, source] as const] : []
  })
  await mkdir(join(folder, 'src'), { recursive: true })
  for (const [, file] of sources)
    if (!file.startsWith('./src/') && file !== './package.json')
      await symlink(join(root, file), join(folder, file))
  await symlink(join(root, 'src/client'), join(folder, 'src/client'))
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ name, type: 'module', exports: Object.fromEntries(sources) }),
  )
}
