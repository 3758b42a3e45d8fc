import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { parseSync } from 'vite'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

/** What a file imports, types included, as paths from the root or package names. */
interface Module {
  readonly path: string
  readonly imports: readonly {
    readonly to: string
    readonly typeOnly: boolean
    /** The values that are imported by name. */
    readonly names: readonly string[]
  }[]
  readonly hasDefaultExport: boolean
}

const modules = await readModules('src')

async function readModules(folder: string): Promise<Module[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  return Promise.all(
    files.map(async (file) => {
      const path = relative(root, join(file.parentPath, file.name))
      return readModule(path, await readFile(join(root, path), 'utf8'))
    }),
  )
}

function readModule(path: string, source: string): Module {
  const { module, errors } = parseSync(path, source)
  expect(errors, path).toEqual([])
  const resolve = (specifier: string) =>
    specifier.startsWith('.') ? join(dirname(path), specifier) : specifier
  const statics = module.staticImports.map(({ moduleRequest, entries }) => ({
    to: resolve(moduleRequest.value),
    typeOnly: entries.length > 0 && entries.every((entry) => entry.isType),
    names: entries.flatMap(({ isType, importName }) => (isType ? [] : (importName.name ?? []))),
  }))
  const reexports = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap((entry) =>
      entry.moduleRequest === null
        ? []
        : [
            {
              to: resolve(entry.moduleRequest.value),
              typeOnly: entry.isType,
              names: entry.isType ? [] : [entry.importName.name ?? ''],
            },
          ],
    ),
  )
  const dynamic = module.dynamicImports.flatMap(({ moduleRequest }) => {
    const text = source.slice(moduleRequest.start, moduleRequest.end)
    return /^['"]/.test(text) ? [{ to: resolve(text.slice(1, -1)), typeOnly: false, names: [] }] : []
  })
  const hasDefaultExport = module.staticExports.some(({ entries }) =>
    entries.some((entry) => entry.exportName.kind === 'Default' || entry.exportName.name === 'default'),
  )
  return { path, imports: [...statics, ...reexports, ...dynamic], hasDefaultExport }
}

/** Who may import whom: each part, and the parts (or files) it may know. Its own part goes without saying. */
const floors: [part: RegExp, may: RegExp][] = [
  [/^src\/(errors|iso-time|json-values|package-files|secret|sleep|tickets)\.ts$/, /^$/],
  [/^src\/(net|wire|client)\//, /^$/],
  [/^src\/(operator-token|config)\.ts$/, /^src\/secret\.ts$/],
  [/^src\/main\.ts$/, /^src\/cli\//],
  [
    /^src\/cli\//,
    /^src\/(app|config|errors|operator-token|sleep)\.ts$|^src\/telemetry\/log\.ts$|^src\/(backend\/|schema\/index\.ts$)/,
  ],
  [/^src\/app\.ts$/, /^src\//],
  [/^src\/index\.ts$/, /^src\/(app|config)\.ts$/],
  [/^src\/context\.ts$/, /^src\/(errors|secret)\.ts$|^src\/(events|live|telemetry|traffic|upstream)\//],
  [/^src\/live\//, /^src\/(errors|secret|sleep)\.ts$|^src\/(events|upstream)\//],
  [/^src\/events\//, /^src\/(errors|sleep)\.ts$/],
  [/^src\/graphql\//, /^src\/(errors|json-values)\.ts$/],
  [/^src\/subscriptions\//, /^src\/(context|errors)\.ts$|^src\/graphql\//],
  [/^src\/traffic\//, /^src\/errors\.ts$/],
  [/^src\/telemetry\//, /^src\/traffic\//],
  [
    /^src\/server\/[^/]+$/,
    /^src\/(context|errors|json-values|sleep)\.ts$|^src\/(graphql|subscriptions|telemetry|traffic)\//,
  ],
  [
    /^src\/server\/(http|sse|websocket)\//,
    /^src\/(context|errors|json-values|package-files|secret|sleep|tickets)\.ts$|^src\/(graphql|net|server|subscriptions|telemetry|traffic)\//,
  ],
  [
    /^src\/schema\//,
    /^src\/(context|errors|iso-time|json-values)\.ts$|^src\/graphql\/field-traits\.ts$|^src\/(resolvers|traffic|upstream)\//,
  ],
  [/^src\/resolvers\//, /^src\/(context|errors|iso-time)\.ts$|^src\/(traffic|upstream)\//],
  [/^src\/upstream\/[^/]+$/, /^src\/(errors|sleep)\.ts$|^src\/net\//],
  [
    /^src\/upstream\/flowdock\//,
    /^src\/(errors|iso-time|json-values|secret|tickets)\.ts$|^src\/upstream\/(build-url|equal-bodies|http|traced-request)\.ts$|^src\/wire\//,
  ],
  [
    /^src\/upstream\/flowthings\//,
    /^src\/(errors|iso-time|json-values|secret|sleep)\.ts$|^src\/upstream\/(build-url|http|traced-request)\.ts$/,
  ],
  [/^src\/backend\/store\//, /^$/],
  [/^src\/backend\/bus\//, /^src\/json-values\.ts$|^src\/backend\/store\//],
  [
    /^src\/backend\/http\//,
    /^src\/(json-values|package-files)\.ts$|^src\/(net|wire)\/|^src\/traffic\/rate-limiter\.ts$|^src\/backend\/(store\/|(files|password-worker)\.ts$)/,
  ],
  [
    /^src\/backend\/flowdock\//,
    /^src\/(iso-time|json-values)\.ts$|^src\/net\/(http1\/|(discard-body|port-messages|turns)\.ts$)|^src\/wire\/|^src\/traffic\/client-address\.ts$|^src\/backend\/((bus|http|store)\/|(background|bounds|deliver|event-log|files|grants|instances|service-tokens|token-hash)\.ts$)/,
  ],
  [/^src\/backend\/flowthings\/long\.ts$/, /^src\/json-values\.ts$/],
  [/^src\/backend\/flowthings\/values\.ts$/, /^src\/json-values\.ts$|^src\/backend\/flowthings\/long\.ts$/],
  [
    /^src\/backend\/flowthings\/filter\//,
    /^src\/json-values\.ts$|^src\/backend\/(flowthings\/values|store\/things\/drop-conditions)\.ts$/,
  ],
  [
    /^src\/backend\/flowthings\//,
    /^src\/(json-values|package-files)\.ts$|^src\/net\/(http1\/|public-address\.ts$)|^src\/backend\/((bus|http|store)\/|(background|tailer|token-hash)\.ts$)/,
  ],
  [
    /^src\/backend\/rules\//,
    /^src\/wire\/|^src\/backend\/((flowdock|flowthings|http|store)\/|(background|bounds|event-log|grants|token-hash)\.ts$)/,
  ],
  [
    /^src\/backend\/admin\//,
    /^src\/(iso-time|json-values)\.ts$|^src\/wire\/|^src\/backend\/((flowdock|flowthings|http|store)\/|(background|bounds|event-log|files|file-copies|file-storage|private-files|token-hash)\.ts$)/,
  ],
  [
    /^src\/backend\//,
    /^src\/(iso-time|json-values|package-files)\.ts$|^src\/(net|wire)\/|^src\/traffic\/(client-address|rate-limiter)\.ts$|^src\/telemetry\/readiness\.ts$/,
  ],
]

/** Edges that carry types only. */
const typesOnly: [from: RegExp, to: RegExp][] = [
  [/^src\/(resolvers|schema)\//, /^src\/(upstream\/|traffic\/|context\.ts)/],
  [/^src\/(server|subscriptions)\//, /^src\/context\.ts$|^src\/telemetry\//],
  [/^src\/(upstream|backend)\//, /^src\/wire\//],
  [/^src\/context\.ts$/, /^src\/(events|live|telemetry|traffic)\//],
]

/** Third-party packages with one door, and the door. */
const doors: [name: RegExp, door: RegExp][] = [
  [/^undici$/, /^src\/upstream\/(http|port-dispatcher)\.ts$/],
  [/^eventsource$/, /^src\/upstream\/flowdock\/stream\.ts$/],
  [/^eventsource-parser$/, /^src\/upstream\/flowdock\/service-stream\.ts$/],
  [
    /^ws$/,
    /^src\/(server\/websocket|backend\/flowthings\/live)\/(client|sockets)\.ts$|^src\/upstream\/flowthings\/socket\.ts$|^src\/backend\/flowthings\/tasks\/broker-stream\.ts$/,
  ],
  [/^graphql-ws$/, /^src\/(client\/index|server\/websocket\/protocol)\.ts$/],
  [/^graphql-yoga$/, /^src\/server\/engine\.ts$/],
  [/^pg$/, /^src\/backend\/store\/postgres\.ts$/],
  [/^@nats-io\//, /^src\/backend\/bus\/nats\.ts$/],
  [/^@aws-sdk\//, /^src\/backend\/files-s3\.ts$/],
  [/^node:sqlite$/, /^src\/backend\/store\/sqlite\.ts$/],
  [/^kysely(\/|$)/, /^src\/backend\/store\//],
  [/^@pothos\//, /^src\/schema\/(builder|field-traits|fields-when-used|mutation)\.ts$/],
  [/^dataloader$/, /^src\/upstream\/(flowdock|flowthings)\/loaders\.ts$/],
  [/^pino$/, /^src\/telemetry\/log\.ts$/],
  [/^prom-client$/, /^src\/telemetry\/metrics\.ts$/],
  [/^@opentelemetry\//, /^src\/telemetry\/tracing\.ts$/],
  [/^@graphql-tools\/utils$/, /^src\/server\/traced-schema\.ts$/],
  [/^@fastify\/busboy$/, /^src\/net\/multipart\.ts$/],
  [/^sharp$/, /^src\/backend\/flowdock\/image\.ts$/],
  [/^(yauzl|@streamparser\/json)$/, /^src\/backend\/admin\/flow-export\.ts$/],
  [
    /^(quickjs-emscripten-core|@jitl\/quickjs-.*)$/,
    /^src\/backend\/flowthings\/tracks\/script-interpreter\.ts$/,
  ],
  [/^mqtt$/, /^src\/backend\/flowthings\/tasks\/mqtt-client\.ts$/],
  [/^re2js$/, /^src\/backend\/flowthings\/filter\/regex\.ts$/],
  [/^jose$/, /^src\/backend\/flowdock\/routes\/actions\.ts$/],
  [/^image-size$/, /^src\/backend\/flowdock\/image\.ts$/],
  [/^(sanitize-html|linkify-it|emojibase-data\/.*)$/, /^src\/resolvers\/rich-text\.ts$/],
  [/^negotiator$/, /^src\/(backend\/flowdock\/routes\/web-pages|server\/negotiation)\.ts$/],
  [/^zod\/mini$/, /^src\/config\.ts$/],
  [/^graphql$/, /^src\/(graphql|schema|server|subscriptions)\//],
]

test('imports point one way', () => {
  const wrong = modules.flatMap(({ path, imports }) => {
    const floor = floors.find(([part]) => part.test(path))
    if (floor === undefined) return [`${path} belongs to no part`]
    const [part, may] = floor
    return imports
      .filter(({ to }) => to.startsWith('src/') && !part.test(to) && !may.test(to))
      .map(({ to }) => `${path} must not import ${to}`)
  })
  expect(wrong).toEqual([])
})

test('where only types may be imported, only types are', () => {
  const wrong = modules.flatMap(({ path, imports }) =>
    imports
      .filter(
        ({ to, typeOnly }) =>
          !typeOnly && typesOnly.some(([from, target]) => from.test(path) && target.test(to)),
      )
      .map(({ to }) => `${path} imports more than types from ${to}`),
  )
  expect(wrong).toEqual([])
})

test('schema files do not import each other', () => {
  const shared = /^src\/schema\/(builder|field-traits|mutation)\.ts$/
  const wrong = modules.flatMap(({ path, imports }) =>
    path.startsWith('src/schema/') && path !== 'src/schema/index.ts'
      ? imports
          .filter(({ to }) => to.startsWith('src/schema/') && !shared.test(to))
          .map(({ to }) => `${path} -> ${to}`)
      : [],
  )
  expect(wrong).toEqual([])
})

/** Functions of the store that only read. */
const storeReaders = /^(any|browse|channel|count|find|fingerprint|first|is|last|list|namedFiles|search|share)/
/** Writers of the store, and values that are no functions, for other files than operations. */
const storeWriters: Readonly<Record<string, readonly string[]>> = {
  'admin/administration.ts': ['openStore'],
  // The messages of an import are old: no stream receives them.
  'admin/flow-import.ts': [
    ...[
      'ensureApplication',
      'importMessage',
      'insertFile',
      'insertRemovedSource',
      'insertThread',
      'openStore',
    ],
    ...['raiseMessageId', 'recountThread'],
  ],
  'admin/file-moves.ts': ['lockFile', 'openStore'],
  'admin/maintenance.ts': ['backupSqlite', 'checkSqlite', 'deleteFile', 'openStore', 'replaceLogId'],
  // The flows of the demo are written with their account: no socket can subscribe to them yet.
  'admin/things-demo.ts': ['addCounts', 'insertDrops', 'updateFlow'],
  'admin/retention.ts': ['deleteExpired', 'deleteExpiredObjects', 'dropEvents'],
  'bus/postgres.ts': ['connectNotifications', 'maxNotificationBytes'],
  'flowthings/arrivals.ts': ['deleteArrivals', 'insertArrival'],
  'flowthings/call-counter.ts': ['addCount'],
  'event-log.ts': ['newControlEvent', 'newEvent', 'replaceLogId'],
  'flowdock/auth.ts': ['together'],
  'flowdock/handler.ts': ['touchUser'],
  'flowdock/routes/channel-messages.ts': ['together'],
  'flowdock/presence.ts': ['noteActive'],
  'flowdock/routes/activity.ts': ['TooManyGroupsError', 'maxGroups'],
  'server.ts': ['openStore', 'tryWriting'],
}

test('only operations change data of the backend and publish its events', () => {
  const wrong = modules.flatMap(({ path, imports }) => {
    if (
      !path.startsWith('src/backend/') ||
      /^src\/backend\/(store|(flowdock|flowthings|rules)\/operations)\//.test(path)
    )
      return []
    const allowed = storeWriters[path.slice('src/backend/'.length)] ?? []
    return imports
      .filter(({ to }) => to.startsWith('src/backend/store/'))
      .flatMap(({ names }) => names.filter((name) => !storeReaders.test(name) && !allowed.includes(name)))
      .map((name) => `${path} must not import ${name}`)
  })
  expect(wrong).toEqual([])
})

/**
 * Statements of the backend on tables that say who may read what, outside of store/rights.ts. Those there publish what they
 * change; these change nothing that a user or a credential could read before.
 */
const statementsOnRights: readonly string[] = [
  'admin/flow-import.ts updateTable flows',
  'store/avatars.ts updateTable users',
  'store/flows.ts insertInto flows',
  'store/flows.ts updateTable flow_members',
  'store/flows.ts updateTable flows',
  'store/last-times.ts updateTable flow_members',
  'store/last-times.ts updateTable flows',
  'store/last-times.ts updateTable users',
  'store/organizations.ts insertInto organizations',
  'store/users.ts insertInto tokens',
  'store/users.ts insertInto users',
]

test('statements that change who may read what are in store/rights.ts, where each publishes it', async () => {
  const statement =
    /\b(insertInto|updateTable|deleteFrom|mergeInto|replaceInto)\('(tokens|users|flows|flow_members|organizations|organization_members)'\)/g
  const files = modules
    .map(({ path }) => path)
    .filter((path) => path.startsWith('src/backend/') && path !== 'src/backend/store/rights.ts')
  const found = await Promise.all(
    files.map(async (path) => {
      const text = await readFile(join(root, path), 'utf8')
      return [...text.matchAll(statement)].map(
        ([, verb, table]) => `${path.slice('src/backend/'.length)} ${verb} ${table}`,
      )
    }),
  )
  expect([...new Set(found.flat())].sort()).toEqual(statementsOnRights)
})

test('there are no cycles, not even of types', () => {
  const edges = new Map(modules.map(({ path, imports }) => [path, imports.map(({ to }) => to)]))
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[] = []
  const visit = (path: string, trail: string[]) => {
    if (state.get(path) === 'done') return
    if (state.get(path) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '))
      return
    }
    state.set(path, 'open')
    for (const next of edges.get(path) ?? []) if (edges.has(next)) visit(next, [...trail, path])
    state.set(path, 'done')
  }
  for (const path of edges.keys()) visit(path, [])
  expect(cycles).toEqual([])
})

test('each package has one door', () => {
  const wrong = modules.flatMap(({ path, imports }) =>
    imports
      .filter(({ to }) => doors.some(([name, door]) => name.test(to) && !door.test(path)))
      .map(({ to }) => `${path} must not import ${to}`),
  )
  expect(wrong).toEqual([])
})

test('files are named in kebab-case after what they hold, and export by name', () => {
  const vague = /^((utils?|helpers?|manager|common|misc)\b|shared$)/
  const wrong = modules.flatMap(({ path, hasDefaultExport }) => {
    const name = path.slice(path.lastIndexOf('/') + 1, -'.ts'.length)
    return [
      ...(/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) ? [] : [`${path} is not in kebab-case`]),
      ...(vague.test(name) ? [`${path} names no noun`] : []),
      ...(hasDefaultExport ? [`${path} has a default export`] : []),
    ]
  })
  expect(wrong).toEqual([])
})

test('only config.ts and the commands it is handed to read the environment', async () => {
  const readers = await Promise.all(
    modules.map(async ({ path }) =>
      (await readFile(join(root, path), 'utf8')).includes('process.env') ? [path] : [],
    ),
  )
  expect(readers.flat()).toEqual(['src/main.ts'])
})

test('these checks can fail', () => {
  const bad = readModule(
    'src/resolvers/bad.ts',
    "import { request } from 'undici'\nimport { openStore } from '../backend/store/db.ts'\nimport type { Http } from '../upstream/http.ts'\nexport default request",
  )
  expect(bad.hasDefaultExport).toBe(true)
  expect(bad.imports).toEqual([
    { to: 'undici', typeOnly: false, names: ['request'] },
    { to: 'src/backend/store/db.ts', typeOnly: false, names: ['openStore'] },
    { to: 'src/upstream/http.ts', typeOnly: true, names: [] },
  ])
  const [part, may] = floors.find(([pattern]) => pattern.test(bad.path)) as [RegExp, RegExp]
  expect(
    bad.imports.filter(({ to }) => to.startsWith('src/') && !part.test(to) && !may.test(to)),
  ).toHaveLength(1)
  expect(
    bad.imports.filter(({ to }) => doors.some(([name, door]) => name.test(to) && !door.test(bad.path))),
  ).toHaveLength(1)
})
