/** Bundles the drivers of the project in the working directory, for Node.js and for browsers. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type BuildOptions, build, type Plugin } from 'esbuild'

const folder = process.cwd()
/** Babel is a package of the project. */
const { transformAsync } = createRequire(join(folder, 'package.json'))('@babel/core')

/** Runs Babel with the configuration of the page on the file that has tags of Relay. */
const relay: Plugin = {
  name: 'babel-plugin-relay',
  setup({ onLoad }) {
    onLoad({ filter: /\/relay\.ts$/, namespace: 'file' }, async ({ path }) => {
      if (path !== join(folder, 'relay.ts')) return undefined
      const options = { filename: path, cwd: folder, parserOpts: { plugins: ['typescript'] } }
      const { code } = await transformAsync(await readFile(path, 'utf8'), options)
      return { contents: code, loader: 'ts' }
    })
  },
}

const names = [
  'apollo',
  'urql',
  'relay',
  'graphql-request',
  'codegen',
  'tada',
  'protocols',
  'apollo-without-types',
]
const common = {
  absWorkingDir: folder,
  entryPoints: names.map((name) => `drivers/${name}.ts`),
  bundle: true,
  format: 'esm',
  plugins: [relay],
  logLevel: 'error',
} satisfies BuildOptions

// Node.js loads the packages as they are installed.
await build({ ...common, outdir: 'for-node', platform: 'node', target: 'node24', packages: 'external' })
await build({
  ...common,
  outdir: 'for-browsers',
  platform: 'browser',
  target: 'es2022',
  define: { 'process.env.NODE_ENV': '"development"' },
})
