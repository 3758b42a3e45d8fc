/**
 * Makes `dist/` for publishing: the program in a few files that have all they need, because most of the time a start takes
 * is for reading hundreds of them; their types; and what of others is in them, with its licences.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type BuildOptions, build } from 'esbuild'
import {
  builtinsWithoutGetters,
  modulesOfGraphql,
  onlyUsedOfPromClient,
  onlyUsedOfUndici,
  onlyVersionsOfPackages,
  rareBuiltinsWhenUsed,
  serveIsApart,
} from './bundle-plugins.ts'

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')
/** What may be in the program that others run. */
const acceptedLicences = new Set([
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
])

interface Component {
  readonly name: string
  readonly version: string
  readonly licence: string
  readonly text: string
}

rmSync(dist, { recursive: true, force: true })
execFileSync('tsc', ['-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
const exported = new Set<string>()
for (const name of ['index', 'client/index', 'client/apollo', 'client/urql'])
  typesOf(join(dist, `${name}.d.ts`), exported)
for (const file of globSync('**/*.d.ts', { cwd: dist }))
  if (!exported.has(join(dist, file))) rmSync(join(dist, file))
const common = {
  absWorkingDir: root,
  outbase: 'src',
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  // They are in THIRD-PARTY-LICENSES.txt. V8 stores a file with other characters than those of ASCII in twice the memory.
  legalComments: 'none',
  metafile: true,
} as const
const program = {
  ...common,
  chunkNames: 'parts/[name]-[hash]',
  splitting: true,
  platform: 'node',
  target: 'node24',
  // What is built for each machine.
  external: ['sharp', 'pg-native'],
  plugins: [
    ...[onlyUsedOfUndici, onlyUsedOfPromClient, onlyVersionsOfPackages, modulesOfGraphql],
    ...[rareBuiltinsWhenUsed, builtinsWithoutGetters],
  ],
  // Some packages are written for `require`.
  banner: {
    js: "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);",
  },
} satisfies BuildOptions
// The gateway shares no files with the other commands and the backend, so that a start of it reads few.
const library = await build({ ...program, entryPoints: ['src/index.ts'] })
// A function expression, which `src/cli/stored-script.ts` runs.
const gateway = await build({
  ...program,
  entryPoints: ['src/cli/serve.ts'],
  outExtension: { '.js': '.cjs' },
  splitting: false,
  format: 'cjs',
  define: { 'import.meta': 'importMeta' },
  banner: { js: '(function(exports,require,module,__filename,__dirname,importMeta){' },
  footer: { js: '})' },
})
const others = await build({
  ...program,
  entryPoints: [
    ...['src/main.ts', 'src/backend/worker.ts', 'src/backend/password-worker.ts'],
    'src/backend/flowthings/tracks/script-worker.ts',
  ],
  plugins: [...program.plugins, serveIsApart],
})

// Functions of tracks use it. It is a text for their interpreter and no part of the program.
copyFileSync(join(root, 'node_modules/lodash/lodash.min.js'), join(dist, 'lodash.min.js'))

// Browsers load it as well as Node.js: it uses nothing that only one of them has.
const client = await build({
  ...common,
  entryPoints: ['src/client/index.ts', 'src/client/apollo.ts', 'src/client/urql.ts'],
  platform: 'neutral',
  target: 'es2022',
})

const inputs = [library, gateway, others, client].flatMap(({ metafile }) => Object.keys(metafile.inputs))
const folders = new Set([
  'node_modules/lodash',
  ...inputs.flatMap((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
])
const components = [...folders].map(readComponent).sort((a, b) => a.name.localeCompare(b.name))
const unaccepted = components.filter(({ licence }) => !acceptedLicences.has(licence))
if (unaccepted.length > 0)
  throw new Error(
    `Licences nobody agreed to: ${unaccepted.map(({ name, licence }) => `${name} (${licence})`).join(', ')}`,
  )
writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), components.map(describe).join(`\n${'-'.repeat(80)}\n`))
writeFileSync(join(dist, 'sbom.cdx.json'), `${JSON.stringify(toSbom(components), null, 2)}\n`)

/** A declaration file and those that it imports. The others need packages that consumers do not have. */
function typesOf(file: string, known: Set<string>): void {
  known.add(file)
  for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)\.[jt]s'/g)) {
    const imported = join(dirname(file), `${path}.d.ts`)
    if (!known.has(imported)) typesOf(imported, known)
  }
}

function readComponent(folder: string): Component {
  const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
  const [file] = globSync(['LICEN[CS]E*', 'licen[cs]e*'], { cwd: join(root, folder) })
  const text = file === undefined ? '' : readFileSync(join(root, folder, file), 'utf8')
  return { name, version, licence: String(license), text: text.trim() }
}

function describe({ name, version, licence, text }: Component): string {
  return `${name} ${version} (${licence})\n\n${text}\n`
}

/** [spec] CycloneDX 1.6 */
function toSbom(list: readonly Component[]): object {
  const { name, version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: { type: 'application', name, version, licenses: [{ license: { id: license } }] } },
    components: list.map((component) => ({
      type: 'library',
      name: component.name,
      version: component.version,
      purl: `pkg:npm/${component.name.replace('@', '%40')}@${component.version}`,
      licenses: [{ license: { id: component.licence } }],
    })),
  }
}
