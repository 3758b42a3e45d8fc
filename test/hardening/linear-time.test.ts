import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { check, type VulnerableDiagnostics } from 'recheck'
import { parseSync } from 'vite'
import { describe, expect, test } from 'vitest'
import { cpuMs } from '../support/cpu.ts'

/*
 * Time grows in proportion to the length of a client's text. One function that takes quadratic time on a server with one
 * event loop lets a single request stop everybody, so each exported function of the folders below that takes text is found
 * by itself, and fed runs of the characters that its own module looks for.
 */

const root = join(import.meta.dirname, '../..')
const edges = ['backend', 'cli', 'client', 'resolvers', 'server', 'upstream/flowdock', 'wire'] as const

/** Patterns that read no client's text. */
const trustedPatterns: Readonly<Record<string, string>> = {
  '\\btext ([a-z ]*)collate nocase\\b': 'reads the migrations of this package',
}

/** Functions whose text comes from the operator, from this program, or is used as a key and not read. */
const noClientText: Readonly<Record<string, string>> = {
  'backend/flowthings/rest/check-member.ts checkMember': 'a method and a member are only compared',
  'backend/admin/demo-token.ts removeStoredToken': 'the path of a folder, and a token that is only compared',
  'backend/admin/flow-export.ts openFlowExport': 'the path of a file that the operator named',
  'backend/bus/messages.ts decodeMessage': 'the text of another backend',
  'backend/admin/things-token.ts storedThingsToken': 'the path of a folder',
  'backend/admin/stored-token.ts storedToken': 'the path of a folder, and the name of a file',
  'backend/flowdock/page-version.ts pageVersion': 'the id of the log, which this program made',
  'backend/http/errors.ts tooMany': 'a message of this program',
  'backend/flowdock/image.ts makeThumbnail': 'the path of a file',
  'backend/flowdock/auth.ts hashPassword': 'a password is only hashed, which takes the same time for any',
  'backend/flowdock/routes/source-token.ts push':
    'tokens are only split at commas and looked up, the first 20 of them',
  'backend/flowdock/routes/source-token.ts knownTokens': 'the same',
  'backend/admin/maintenance.ts restoreData': 'the path of a folder that the operator named',
  'backend/store/db.ts openStore': 'the path of a file or a URL that the operator named',
  'backend/store/postgres.ts openPostgres': 'a URL that the operator named',
  'backend/store/postgres.ts connectNotifications': 'a URL that the operator named, and the id of the log',
  // These would create files where the tests run.
  'backend/store/sqlite.ts lockFile': 'the path of a file',
  'backend/file-signatures.ts loadSigningKey': 'the path of a file',
  'backend/store/sqlite.ts openSqliteReader': 'the path of a file',
  'backend/store/sqlite.ts openSqliteWriter': 'the path of a file',
  'backend/store/sqlite.ts backupSqlite': 'the path of a file',
  'backend/store/sqlite.ts checkSqlite': 'the path of a file',
  'cli/administer.ts administer': 'the command line',
  'cli/maintain.ts maintain': 'the command line',
  'cli/stored-script.ts runStoredScript': 'the paths of a file of this package and of a folder',
  'resolvers/pagination.ts listConnection': 'the name of a list',
  'resolvers/things-flows.ts loadIdentity': 'an id that the upstream sent, which is only looked up',
  'server/http/downloads.ts serveDownload': 'a ticket is only looked up',
  'server/http/uploads.ts serveUpload': 'a ticket is only looked up',
  'upstream/flowdock/decode-legacy.ts decodeLegacy': 'the kind of an event is only compared',
}

// biome-ignore lint/suspicious/noExplicitAny: functions of every shape are called
type Exported = (...given: any[]) => any

/** Calls a function with the text first, and more after it. */
const first =
  (...more: readonly unknown[]) =>
  (exported: Exported, text: string) =>
    exported(text, ...more)

/** How functions are called that take more than the text, or the text inside of something else. */
const adapters: Readonly<Record<string, (exported: Exported, text: string) => unknown>> = {
  'backend/flowthings/paths.ts covers': (covers, text) => covers(text, `${text}/a`),
  'backend/bounds.ts cut': (cut, text) => cut(text, text.length - 1),
  'backend/http/query-string.ts readTarget': (read, text) => [
    read(text, 'http://127.0.0.1'),
    read(`/a?${text}`, 'http://127.0.0.1'),
  ],
  'backend/flowdock/integration-events.ts integrationText': (integrationText, text) =>
    integrationText('vcs', { comment: { body: text } }),
  'backend/flowdock/encode.ts withBase': first('http://127.0.0.1'),
  'backend/flowdock/message-text.ts messageText': (messageText, text) =>
    messageText('mail', { content: { subject: text, content: text } }),
  'backend/flowdock/tags.ts resolveTag': (resolveTag, text) => resolveTag(text, members),
  'backend/flowdock/tags.ts textTags': (textTags, text) => textTags(text, members),
  'backend/flowdock/thread-actions.ts actionDigest': first({ name: 'x' }),
  'backend/flowthings/aggregation/selectors.ts parseGroupKeys': first(new Map()),
  'backend/flowthings/aggregation/selectors.ts parseOutput': first(new Map(), new Set()),
  'backend/flowthings/filter/compare.ts compareTexts': (compareTexts, text) => compareTexts(text, `${text}x`),
  'backend/flowthings/tasks/topics.ts matchesTopic': (matches, text) => [
    matches(text, text),
    matches(`$share/group/${text}`, text),
  ],
  'backend/flowthings/values.ts typeOfElement': first('', {}),
  'backend/flowdock/thread-actions.ts encodeActions': first('[{"@type":"ViewAction"}]', 'http://127.0.0.1'),
  'resolvers/cursor.ts decodeMessageCursor': (decode, text) => [
    attempt(() => decode('example/main', text, 'after')),
    attempt(() => decode(text, '1~1~1~1', 'after')),
  ],
  'resolvers/flows.ts checkFlowPath': first(['flow']),
  'resolvers/global-id.ts encodeGlobalId': first('1'),
  'resolvers/global-id.ts encodeInFlow': first('1', 1),
  'resolvers/global-id.ts expectId': (expectId, text) => expectId('Message', text, ['id']),
  'resolvers/message-page.ts expectMessages': first([], {}),
  'resolvers/inputs.ts checkFilled': first('name'),
  'resolvers/inputs.ts resolveMessage': first({}, ['id']),
  'resolvers/inputs.ts resolveOrganization': first({}, ['id']),
  'resolvers/inputs.ts resolveThread': first({}, ['id']),
  'resolvers/inputs.ts resolveUser': first(['id']),
  'resolvers/things-ids.ts checkThingsPath': first(['input', 'path']),
  'resolvers/things-ids.ts resolveDropKey': first(['id']),
  'resolvers/things-node.ts thingsNode': (thingsNode, text) => thingsNode('Drop', text, { flowthings: {} }),
  'resolvers/pagination.ts decodeCursor': (decode, text) => decode('message', text, 'after'),
  'resolvers/pagination.ts encodeCursor': first('1'),
  'resolvers/pagination.ts numberCursor': (decode, text) =>
    decode('message', Buffer.from(`message:${text}`).toString('base64url'), 'after'),
  'resolvers/resource.ts pathOf': (pathOf, text) => [
    pathOf(new URL(`http://x/a${text}`)),
    pathOf(new URL(`http://x/a${text}b`)),
  ],
  'resolvers/resource.ts resource': (resource, text) =>
    resource(undefined, { url: `http://x/a${text}b` }, {}),
  'resolvers/shared-media.ts urlsOf': (urlsOf, text) => urlsOf({ content: `http://x${text}a ${text}` }),
  'graphql/document-limits.ts checkDocumentSize': first({ maxDocumentBytes: 1_000_000 }),
  'server/exact-variables.ts parseRequestJson': (parse, text) => [
    attempt(() => parse(text, ['variables'])),
    attempt(() => parse(`{"variables":{"a":${text}}}`, ['variables'])),
    parse(JSON.stringify({ variables: { a: text, [text]: 1 } }), ['variables']),
  ],
  'server/websocket/connection-params.ts findCredential': (find, text) =>
    find({ token: text, headers: { Authorization: text } }, () => true),
  'server/websocket/connection-params.ts readConnectionParams': (read, text) =>
    read({ [text]: text }, () => true, false),
  'subscriptions/fan-out.ts toPayload': first(''),
  'server/http/conditional.ts matchesTag': (matches, text) => matches('W/"x"', text),
  'server/negotiation.ts acceptsGzip': (accepts, text) => accepts({ headers: { 'accept-encoding': text } }),
  'server/negotiation.ts errorType': (errorType, text) => errorType({ headers: { accept: text } }),
  'server/http/request-body.ts hasFiles': (hasFiles, text) =>
    hasFiles({ headers: { 'content-type': `multipart/form-data${text}` } }),
  'server/http/request-body.ts hasJson': (hasJson, text) =>
    hasJson({ headers: { 'content-type': `application/json${text}` } }),
  'upstream/flowdock/credentials.ts parseAuthorization': (parse, text) => parse(`Basic ${text}`),
  'upstream/flowdock/live-events.ts isBehind': (isBehind, text) => isBehind(text, text),
  'upstream/flowdock/live-events.ts makeGap': first('fellBehind'),
  'upstream/flowdock/service-frames.ts decodeFrame': (decode, text) => [
    attempt(() => decode('e', '1', text)),
    attempt(() => decode('e', '1', JSON.stringify({ a: text, t: 1, p: { text } }))),
  ],
  'upstream/build-url.ts buildUrl': (buildUrl, text) =>
    buildUrl('http://x', [text], { filter: text, tags: [text] }),
}

const members = Array.from({ length: 50 }, (_, index) => ({ id: index + 1, nick: `nick${index}` }))

interface Module {
  /** Below `src`. */
  readonly path: string
  readonly patterns: readonly { readonly source: string; readonly flags: string }[]
  /** Exported functions whose first parameter is a text, and how many more they need. */
  readonly textFunctions: readonly { readonly name: string; readonly more: number }[]
  /** What its patterns and short texts are made of. */
  readonly characters: readonly string[]
}

// biome-ignore lint/suspicious/noExplicitAny: nodes of a syntax tree
type Node = any

const paths = (await readdir(join(root, 'src'), { recursive: true })).filter((path) => path.endsWith('.ts'))
const modules = await Promise.all(paths.map((path) => readModule(relative('.', path))))

async function readModule(path: string): Promise<Module> {
  const { program, errors } = parseSync(path, await readFile(join(root, 'src', path), 'utf8'))
  expect(errors, path).toEqual([])
  const patterns: { source: string; flags: string }[] = []
  const texts: string[] = []
  const visit = (node: Node): void => {
    if (Array.isArray(node)) return node.forEach(visit)
    if (typeof node !== 'object' || node === null) return
    if (node.type === 'Literal' && node.regex !== undefined)
      patterns.push({ source: node.regex.pattern, flags: node.regex.flags })
    else if (node.type === 'Literal' && typeof node.value === 'string' && node.value.length <= 12)
      texts.push(node.value)
    else if (node.type === 'TemplateElement') texts.push(node.value.raw.slice(0, 40))
    for (const [key, value] of Object.entries(node)) if (key !== 'regex') visit(value)
  }
  visit(program)
  const named = [...patterns.map(({ source }) => source), ...texts].join('')
  // Letters and digits behave alike; two of each and one of another script stand for all.
  const signs = new Set([...named].filter((character) => !/[\p{L}\p{N}\\]/u.test(character)))
  return {
    path,
    patterns,
    textFunctions: exportedFunctions(program).filter(({ isText }) => isText),
    characters: [...new Set(['a', '1', 'é', ' ', '\n', '漢', ...signs])],
  }
}

function exportedFunctions(program: Node): { name: string; more: number; isText: boolean }[] {
  const found: { name: string; more: number; isText: boolean }[] = []
  for (const { type, declaration } of program.body) {
    if (type !== 'ExportNamedDeclaration' || declaration == null) continue
    if (declaration.type === 'FunctionDeclaration')
      found.push(describeFunction(declaration.id.name, declaration))
    if (declaration.type === 'VariableDeclaration')
      for (const { id, init } of declaration.declarations)
        if (init?.type === 'ArrowFunctionExpression') found.push(describeFunction(id.name, init))
  }
  return found
}

function describeFunction(name: string, { params }: Node): { name: string; more: number; isText: boolean } {
  const [first, ...rest] = params
  const type = first?.typeAnnotation?.typeAnnotation
  const types: Node[] = type?.type === 'TSUnionType' ? type.types : [type]
  const more = rest.filter((each: Node) => each.type !== 'AssignmentPattern' && each.optional !== true).length
  return { name, more, isText: types.some((each) => each?.type === 'TSStringKeyword') }
}

/** Where the checker only searches for bad texts, a busy machine can make a good pattern look slow: its text is tried here. */
async function isConfirmed(pattern: RegExp, { complexity, attack }: VulnerableDiagnostics): Promise<boolean> {
  if (!complexity.isFuzz) return true
  const text = (size: number) =>
    attack.pumps.map(({ prefix, pump }) => prefix + pump.repeat(size / pump.length)).join('') + attack.suffix
  const read = (size: number) => {
    const input = text(size)
    return () => input.match(pattern)
  }
  return (await measureGrowth(read(length / 2), read(2 * length))) !== undefined
}

describe('no pattern takes longer than in proportion to the text', () => {
  test('of all that are written out in the program', { timeout: 300_000 }, async () => {
    const all = modules.flatMap(({ path, patterns }) => patterns.map((pattern) => ({ path, ...pattern })))
    const slow: string[] = []
    for (const { path, source, flags } of Map.groupBy(all, ({ source, flags }) => `${source}/${flags}`)
      .values()
      .map(([first]) => first as (typeof all)[number])) {
      if (source in trustedPatterns) continue
      // The flag `v` is that of classes alone here; the checker knows `u`.
      const result = await check(source, flags.replace('v', 'u'), { timeout: 20_000, randomSeed: 1 })
      if (result.status === 'vulnerable' && (await isConfirmed(new RegExp(source, flags), result)))
        slow.push(`src/${path}: /${source}/${flags} is ${result.complexity.summary}`)
    }
    expect(slow).toEqual([])
  })

  test('the check finds one that can begin at every place of a run', { timeout: 120_000 }, async () => {
    expect((await check('[.,;]+$', '')).status).toBe('vulnerable')
    expect((await check('(?<![.,;])[.,;]+$', '')).status).toBe('safe')
    const guessed = await check('(?<!a)a.*[.,;]+$', '', { timeout: 60_000 })
    if (guessed.status !== 'vulnerable') throw new Error('The checker found nothing')
    expect(guessed.complexity.isFuzz).toBe(true)
    // A busy machine can make one measurement miss it.
    await expect.poll(() => isConfirmed(/(?<!a)a.*[.,;]+$/, guessed)).toBe(true)
  })
})

/** Quadratic time at four times this length is far over `measurableMs`, and short enough to harm nothing. */
const length = 8000
/** Less CPU time than this, in milliseconds, is too little to compare: the clock of some systems ticks every 4 ms. */
const measurableMs = 40
const clockTickMs = 4
/** Four times the length takes about 4 times the time; quadratic time 16 times. */
const mostGrowth = 9
/** A suspicion counts when each of this many measurements confirms it. */
const confirmations = 2

/** A run alone, behind something, before something, and between. */
function* shapesOf({ characters }: Module): Generator<(length: number) => string> {
  for (const run of characters) {
    yield (n) => run.repeat(n)
    for (const other of characters) {
      if (other === run) continue
      yield (n) => run.repeat(n) + other
      yield (n) => other + run.repeat(n)
      yield (n) => (run + other).repeat(n / 2)
    }
  }
}

async function bestOf(times: number, work: () => unknown): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let turn = 0; turn < times; turn += 1) best = Math.min(best, await cpuMs(work))
  return best
}

/** What refuses a text has read it. */
async function attempt(work: () => unknown): Promise<void> {
  try {
    await work()
  } catch {
    return
  }
}

/** @returns the times that show faster growth than that of the text; undefined for proportional time */
async function measureGrowth(short: () => unknown, long: () => unknown): Promise<string | undefined> {
  if ((await bestOf(1, long)) < measurableMs) return undefined
  let seen: string | undefined
  for (let turn = 0; turn < confirmations; turn += 1) {
    const shortMs = await bestOf(3, short)
    const longMs = await bestOf(3, long)
    if (longMs < measurableMs || longMs <= mostGrowth * Math.max(shortMs, clockTickMs)) return undefined
    seen = `${shortMs.toFixed(1)} and ${longMs.toFixed(1)} ms`
  }
  return seen
}

/** The shapes of text for which time grows faster than the text. */
async function findSlow(module: Module, call: (text: string) => unknown): Promise<string[]> {
  const slow: string[] = []
  for (const shape of shapesOf(module)) {
    const [short, long] = [shape(length), shape(4 * length)]
    const growth = await measureGrowth(
      () => attempt(() => call(short)),
      () => attempt(() => call(long)),
    )
    if (growth !== undefined) slow.push(`${JSON.stringify(short.slice(0, 3))}…: ${growth}`)
  }
  return slow
}

describe('each exported function that takes text', () => {
  const isEdge = ({ path }: Module) => edges.some((edge) => path.startsWith(`${edge}/`))
  const found = modules
    .filter(isEdge)
    .flatMap((module) =>
      module.textFunctions.map(({ name, more }) => ({ id: `${module.path} ${name}`, module, name, more })),
    )
  const registered = Object.keys(adapters).map((id) => {
    const [path = '', name = ''] = id.split(' ')
    const module = modules.find((each) => each.path === path)
    if (module === undefined) throw new Error(`There is no src/${path}`)
    return { id, module, name, more: 0 }
  })
  const covered = [
    ...found.filter(({ id, more }) => more === 0 && !(id in noClientText) && !(id in adapters)),
    ...registered,
  ]

  test('is called here, or listed with the reason why not', () => {
    const known = new Set([...covered.map(({ id }) => id), ...Object.keys(noClientText)])
    expect(found.filter(({ id }) => !known.has(id)).map(({ id }) => id)).toEqual([])
    const there = new Set(found.map(({ id }) => id))
    expect(Object.keys(noClientText).filter((id) => !there.has(id))).toEqual([])
  })

  test.each(covered)(
    'takes time in proportion to it: $id',
    { timeout: 120_000 },
    async ({ id, module, name }) => {
      const exports = (await import(join(root, 'src', module.path))) as Record<string, Exported>
      const exported = exports[name]
      if (exported === undefined) throw new Error(`src/${module.path} does not export ${name}`)
      const call = adapters[id] ?? first()
      expect(await findSlow(module, (text) => call(exported, text))).toEqual([])
    },
  )

  test('the comparison finds quadratic time', { timeout: 120_000 }, async () => {
    const trimmed = (text: string) => text.replace(/[.]+$/, '')
    const module = { path: '', patterns: [], textFunctions: [], characters: ['.', 'a'] }
    // A busy machine can make one measurement miss it.
    await expect.poll(() => findSlow(module, trimmed)).not.toEqual([])
  })
})
