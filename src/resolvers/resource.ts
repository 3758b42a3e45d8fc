import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Flow } from '../upstream/flowdock/model.ts'
import type { GlobalId } from './global-id.ts'
import { node } from './node.ts'

/** Longer than any Flowdock URL: parsing takes time. */
const maxUrlLength = 2000
/** The flows, those with the newest messages, to search for a file whose URL names no flow. */
const maxFlows = 20

const flowPath = '(?:flows|app)/([^/]+/[^/]+)'
/** A URL of a collection finds the object that has the collection. */
const list = (names: string) => `(?:/(?:${names}))?`

type Find = (parts: string[], context: Context) => Promise<GlobalId | null>

/**
 * The object that a URL of the REST API, of streams or of the web names, from its path alone: the host of the service no
 * longer exists. [flowdock] flows.md, messages.md, threads.md, users.md, files.md
 */
const addresses: [pattern: RegExp, find: Find][] = [
  [
    /^user$/,
    async (_, { flowdock }) => ({ typename: 'User', id: String((await flowdock.load.viewer()).id) }),
  ],
  [/^users\/(\d+)$/, async ([id = '']) => ({ typename: 'User', id })],
  [/^flows\/[^/]+\/[^/]+\/users\/(\d+)$/, async ([id = '']) => ({ typename: 'User', id })],
  [/^organizations\/[^/]+\/users\/(\d+)$/, async ([id = '']) => ({ typename: 'User', id })],
  [
    new RegExp(`^(?:app/)?private/(\\d+)${list('messages')}$`),
    async ([id = '']) => ({ typename: 'PrivateConversation', id }),
  ],
  [
    /^(?:app\/)?private\/(\d+)\/messages\/(\d+)$/,
    async ([user, id]) => ({ typename: 'Message', id: `@${user}:${id}` }),
  ],
  [
    new RegExp(`^organizations/([^/]+)${list('users|audits/users')}$`),
    async ([slug = ''], { flowdock }) => {
      const organization = await flowdock.organizations.find({ slug })
      return organization && { typename: 'Organization', id: String(organization.id) }
    },
  ],
  [
    new RegExp(`^${flowPath}${list('messages|threads|users|sources|invitations|join_url|inbox|files')}$`),
    async ([path = ''], context) => inFlow('Flow', path, undefined, context),
  ],
  [
    new RegExp(`^${flowPath}/(?:messages|inbox)/(\\d+)${list('comments|emoji_reaction')}$`),
    async ([path = '', id], context) => inFlow('Message', path, id, context),
  ],
  [
    new RegExp(`^${flowPath}/threads/([\\w-]+)${list('messages')}$`),
    async ([path = '', id], context) => inFlow('Thread', path, id, context),
  ],
  [
    new RegExp(`^${flowPath}/invitations/(\\d+)$`),
    async ([path = '', id], context) => inFlow('Invitation', path, id, context),
  ],
  [
    /^flows\/([^/]+\/[^/]+)\/sources\/(\d+)$/,
    async ([path, id]) => ({ typename: 'Source', id: `${path}:${id}` }),
  ],
  [/^(invitations\/[0-9a-f]+-[^/]+)$/, findByJoinUrl],
  [
    /^(flows\/([^/]+\/[^/]+)\/files\/.+)$/,
    async ([file = '', path = ''], context) => {
      const flow = await context.flowdock.load.flowByPath(path)
      return flow && findByFile(file, [flow], context)
    },
  ],
  [
    /^(files\/.+)$/,
    async ([file = ''], context) => {
      const flows = await context.flowdock.load.detailedFlows('joined')
      const latest = flows.toSorted((a, b) => (b.details.lastMessageAt ?? 0) - (a.details.lastMessageAt ?? 0))
      return findByFile(file, latest.slice(0, maxFlows), context)
    },
  ],
]

/** @throws ValidationError for a URL that names no object of Flowdock */
export async function resource(
  _: unknown,
  { url }: { url: string },
  context: Context,
): Promise<object | null> {
  if (url.length > maxUrlLength)
    throw new ValidationError(
      `Expected url to have at most ${maxUrlLength} characters, got ${url.length}`,
      [],
      {
        inputPath: ['url'],
      },
    )
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const id = parsed?.searchParams.get('id')
  const path = pathOf(parsed)
  if (id != null && path === 'flows/find') return node({ typename: 'Flow', id }, context)
  if (id != null && path === 'organizations/find') return node({ typename: 'Organization', id }, context)
  for (const [pattern, find] of addresses) {
    const match = pattern.exec(path)
    if (match === null) continue
    const globalId = await find(match.slice(1), context)
    return globalId && node(globalId, context)
  }
  throw new ValidationError(
    `Expected url to be a Flowdock URL, such as "https://www.flowdock.com/app/example/main"; got "${url.slice(0, 80)}"`,
    [],
    { inputPath: ['url'] },
  )
}

/** The path without version prefixes and suffixes. Until 2012 the organization was the first label of the host. */
export function pathOf(url: URL | undefined): string {
  const path = withoutSuffix(decodePath(url?.pathname ?? '').replace(/^\/+((v[12]|rest|stream)\/)?/, ''))
  const [, organization] = /^(?!(?:www|api|stream)\.)([\w-]+)\.flowdock\.com$/.exec(url?.hostname ?? '') ?? []
  return organization === undefined ? path : path.replace(/^flows\//, `flows/${organization}/`)
}

/** Without trailing slashes and `.json`. */
function withoutSuffix(path: string): string {
  let end = path.length
  while (path[end - 1] === '/') end -= 1
  if (path.endsWith('.json', end)) end -= '.json'.length
  return path.slice(0, end)
}

async function inFlow(
  typename: 'Flow' | 'Message' | 'Thread' | 'Invitation',
  path: string,
  id: string | undefined,
  { flowdock }: Context,
): Promise<GlobalId | null> {
  const flow = await flowdock.load.flowByPath(path)
  return flow && { typename, id: id === undefined ? flow.id : `${flow.id}:${id}` }
}

/** The flow with this join URL, among those that the viewer can see. */
async function findByJoinUrl([path = '']: string[], { flowdock }: Context): Promise<GlobalId | null> {
  const flows = await flowdock.load.detailedFlows('all')
  const flow = flows.find(({ details: { joinUrl } }) => joinUrl !== null && pathOf(new URL(joinUrl)) === path)
  return flow === undefined ? null : { typename: 'Flow', id: flow.id }
}

/** The message of a file, among the newest 100 files of each flow. */
async function findByFile(
  path: string,
  flows: readonly Flow[],
  { flowdock }: Context,
): Promise<GlobalId | null> {
  const page = { from: 'newest' as const, limit: 100, events: ['file'] }
  const lists = await Promise.all(flows.map((flow) => flowdock.messages.list(flow.path, undefined, page)))
  const message = lists
    .flatMap(({ items }) => items)
    .find(({ attachments }) => attachments.some((file) => decodePath(file.path).replace(/^\/+/, '') === path))
  return message === undefined ? null : { typename: 'Message', id: `${message.channel}:${message.id}` }
}

function decodePath(pathname: string): string {
  try {
    return decodeURIComponent(pathname)
  } catch {
    return ''
  }
}
