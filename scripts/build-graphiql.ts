/**
 * Bundles GraphiQL into `assets/graphiql`, so that the gateway serves all of it itself: file names carry the hash of
 * their content, files are kept compressed, and `manifest.json` names the ones the page begins with.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type BuildOptions, type BuildResult, build } from 'esbuild'

const directory = join(import.meta.dirname, '../assets/graphiql')
const address = '/graphiql'
const shared = {
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: 'esm',
  target: 'es2022',
  outdir: directory,
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  publicPath: address,
  loader: { '.ttf': 'file', '.woff2': 'file' },
  define: { 'process.env.NODE_ENV': '"production"' },
  logLevel: 'warning',
} satisfies BuildOptions

const workers = await build({
  ...shared,
  entryPoints: {
    'editor.worker': 'monaco-editor/esm/vs/editor/editor.worker.js',
    'graphql.worker': 'monaco-graphql/esm/graphql.worker.js',
    'json.worker': 'monaco-editor/esm/vs/language/json/json.worker.js',
  },
})
const workerNames = workers.outputFiles.map(({ path }) => basename(path))
const workerOf = (language: string) =>
  `${address}/${workerNames.find((name) => name.startsWith(`${language}.worker`))}`
const addresses = { editor: workerOf('editor'), graphql: workerOf('graphql'), json: workerOf('json') }

const page = await build({
  ...shared,
  splitting: true,
  entryPoints: { page: join(import.meta.dirname, 'graphiql/page.js') },
  define: { ...shared.define, WORKERS: JSON.stringify(addresses) },
})

const icon = await readFile(join(import.meta.dirname, 'graphiql/icon.svg'))
const iconName = `icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8)}.svg`
const manifest = { script: entry(page, '.js'), style: entry(page, '.css'), icon: iconName }
const files = new Map<string, Uint8Array | string>([
  ...[...workers.outputFiles, ...page.outputFiles].map(
    ({ path, contents }) => [`${basename(path)}.gz`, gzipSync(contents)] as const,
  ),
  [`${iconName}.gz`, gzipSync(icon)],
  // The licence of what is inside travels with it.
  ['LICENSE', await readFile(join(import.meta.dirname, '../node_modules/graphiql/LICENSE'))],
  ['manifest.json', JSON.stringify(manifest)],
])

// A gateway that runs from this folder finds each file whole, the old one or the new one.
await mkdir(directory, { recursive: true })
for (const [name, contents] of files) {
  const path = join(directory, name)
  await writeFile(`${path}.new`, contents)
  await rename(`${path}.new`, path)
}
for (const name of await readdir(directory))
  if (!files.has(name)) await rm(join(directory, name), { force: true })

function entry({ metafile }: BuildResult<{ metafile: true }>, extension: string): string {
  const found = Object.keys(metafile.outputs).find(
    (path) => basename(path).startsWith('page-') && path.endsWith(extension),
  )
  if (found === undefined) throw new Error(`The bundle has no page${extension}`)
  return basename(found)
}
