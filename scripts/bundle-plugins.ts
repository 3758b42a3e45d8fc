import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import type { Plugin } from 'esbuild'

/* What a start need not load is left out of the bundle, or loaded later. Figures are in bench/README.md. */

const root = join(import.meta.dirname, '..')

/** The client of the upstream is a tenth of its package, and what is not in a file is not read at each start. */
export const onlyUsedOfUndici: Plugin = {
  name: 'only what is used of undici',
  setup({ initialOptions, onLoad, onResolve }) {
    // undici leaves out its second parser, which is experimental, where this is defined.
    initialOptions.define = { ...initialOptions.define, esbuildDetection: 'true' }
    onLoad({ filter: /\/node_modules\/undici\/index\.js$/ }, () => ({
      contents: `
        const Dispatcher = require('./lib/dispatcher/dispatcher')
        Dispatcher.prototype.request = require('./lib/api/api-request')
        module.exports = {
          Agent: require('./lib/dispatcher/agent'),
          buildConnector: require('./lib/core/connect'),
          Dispatcher,
          errors: require('./lib/core/errors'),
        }
      `,
      resolveDir: join(root, 'node_modules/undici'),
    }))
    // HTTP/2 is loaded with the first connection to a server that has it.
    onResolve({ filter: /^\.\/client-h2\.js$/ }, ({ namespace, resolveDir }) =>
      namespace === 'file'
        ? { path: 'client-h2', namespace: 'undici-h2', pluginData: resolveDir }
        : undefined,
    )
    onLoad({ filter: /.*/, namespace: 'undici-h2' }, ({ pluginData: resolveDir }) => ({
      contents: "module.exports = (...args) => require('./client-h2.js')(...args)",
      resolveDir,
    }))
  },
}

/** Without its push gateway and its cluster, which would load zlib and more. */
export const onlyUsedOfPromClient: Plugin = {
  name: 'only what is used of prom-client',
  setup({ onLoad }) {
    onLoad({ filter: /\/node_modules\/prom-client\/index\.js$/ }, () => ({
      contents: `
        module.exports = {
          Registry: require('./lib/registry'),
          Counter: require('./lib/counter'),
          Gauge: require('./lib/gauge'),
          Histogram: require('./lib/histogram'),
          collectDefaultMetrics: require('./lib/defaultMetrics'),
        }
      `,
      resolveDir: join(root, 'node_modules/prom-client'),
    }))
  },
}

/** A package that reads its own version would bring all of its `package.json`: scripts, and the packages it is made with. */
export const onlyVersionsOfPackages: Plugin = {
  name: 'only the versions of packages',
  setup({ onLoad }) {
    onLoad({ filter: /\/node_modules\/.*\/package\.json$/ }, ({ path }) => {
      const { name, version } = JSON.parse(readFileSync(path, 'utf8'))
      return { contents: JSON.stringify({ name, version }), loader: 'json' }
    })
  },
}

/**
 * graphql-js has its modules twice. Each file that imports one of those for `require` would copy its 200 exports at each start.
 */
export const modulesOfGraphql: Plugin = {
  name: 'the modules of graphql-js',
  setup({ onResolve }) {
    onResolve({ filter: /^graphql(\/|$)/ }, ({ path }) => {
      const [, name = 'index'] = /^graphql\/(.+?)(?:\.m?js)?$/.exec(path) ?? []
      return { path: join(root, 'node_modules/graphql', `${name}.mjs`) }
    })
  },
}

/** `serve` is a file of another build, which runs with stored code. */
export const serveIsApart: Plugin = {
  name: 'the gateway is a bundle of its own',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^\.\/cli\/serve\.ts$/ }, () => ({ path: 'serve', namespace: 'stored-script' }))
    onLoad({ filter: /.*/, namespace: 'stored-script' }, () => ({
      contents: `
        import { runStoredScript } from './src/cli/stored-script.ts'
        import { packageFile } from './src/package-files.ts'
        const { getCompileCacheDir } = process.getBuiltinModule('node:module')
        const { fileURLToPath } = process.getBuiltinModule('node:url')
        const path = fileURLToPath(packageFile('dist/cli/serve.cjs'))
        export const { serve } = runStoredScript(path, getCompileCacheDir()).exports
      `,
      resolveDir: root,
    }))
  },
}

/** Built-in modules that take long to load, and that a start need not load. */
const rareBuiltins = /^(node:)?(fs\/promises|http2|https|readline\/promises|tls|zlib)$/

/** They are loaded when an export is read. */
export const rareBuiltinsWhenUsed: Plugin = {
  name: 'rare built-in modules, when they are used',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: rareBuiltins }, ({ path }) => ({
      path: path.replace(/^node:/, ''),
      namespace: 'rare-builtin',
    }))
    onLoad({ filter: /.*/, namespace: 'rare-builtin' }, ({ path }) => ({
      contents: `
        let loaded
        const load = () => (loaded ??= process.getBuiltinModule('node:${path}'))
        for (const name of ${JSON.stringify(Object.getOwnPropertyNames(process.getBuiltinModule(path) ?? {}))})
          Object.defineProperty(exports, name, { enumerable: true, get: () => load()[name] })
      `,
    }))
  },
}

/**
 * An `import` of a built-in module reads all of its exports. Some are getters that load more: those of `node:http` load the whole
 * of `fetch`, which takes a fifth of a start. The module as an object leaves them alone.
 */
export const builtinsWithoutGetters: Plugin = {
  name: 'built-in modules, without what their getters load',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(
        /^import (?!type )([^'"]+?) from '([^']+)'$/gm,
        (statement, names: string, from: string) =>
          isBuiltin(from) && !rareBuiltins.test(from)
            ? `const ${toPattern(names)} = process.getBuiltinModule('${from}')`
            : statement,
      ),
      loader: 'ts',
    }))
  },
}

/** The names of an import as a pattern on as many lines. @throws Error for a form that no file has */
function toPattern(names: string): string {
  if (/^\w+$/.test(names)) return names
  if (!/^\{[^{}]*\}$/.test(names)) throw new Error(`Expected { names } or a name, got ${names}`)
  return names.replace(/\btype \w+,?/g, '').replace(/ as /g, ': ')
}
