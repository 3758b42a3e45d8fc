import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { GlobalId } from './global-id.ts'
import { node } from './node.ts'

const flowPath = '(?:flows|app)/([^/]+/[^/]+)'

/**
 * What an address of the REST API or the web names, read from its path alone: the host may be the service's, which is
 * gone. [flowdock] flows.md, messages.md, threads.md, users.md
 */
const addresses: [pattern: RegExp, find: (parts: string[], context: Context) => Promise<GlobalId | null>][] =
  [
    [/^users?\/(\d+)$/, async ([id = '']) => ({ typename: 'User', id })],
    [/^(?:app\/)?private\/(\d+)$/, async ([id = '']) => ({ typename: 'PrivateConversation', id })],
    [
      /^(?:app\/)?private\/(\d+)\/messages\/(\d+)$/,
      async ([user, id]) => ({ typename: 'Message', id: `@${user}:${id}` }),
    ],
    [
      /^organizations\/([^/]+)$/,
      async ([slug = ''], { flowdock }) => {
        const organization = await flowdock.organizations.find({ slug })
        return organization && { typename: 'Organization', id: String(organization.id) }
      },
    ],
    [new RegExp(`^${flowPath}$`), async ([path = ''], context) => inFlow('Flow', path, undefined, context)],
    [
      new RegExp(`^${flowPath}/(?:messages|inbox)/(\\d+)$`),
      async ([path = '', id], context) => inFlow('Message', path, id, context),
    ],
    [
      new RegExp(`^${flowPath}/threads/([\\w-]+)$`),
      async ([path = '', id], context) => inFlow('Thread', path, id, context),
    ],
    [
      /^flows\/([^/]+\/[^/]+)\/sources\/(\d+)$/,
      async ([path, id]) => ({ typename: 'Source', id: `${path}:${id}` }),
    ],
  ]

/** @throws ValidationError for an address that names nothing of Flowdock's */
export async function resource(
  _: unknown,
  { url }: { url: string },
  context: Context,
): Promise<object | null> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const id = parsed?.searchParams.get('id')
  const path = decodePath(parsed?.pathname ?? '').replace(/^\/+(v[12]\/)?|(\.json)?\/*$/g, '')
  if (id != null && path === 'flows/find') return node({ typename: 'Flow', id }, context)
  if (id != null && path === 'organizations/find') return node({ typename: 'Organization', id }, context)
  for (const [pattern, find] of addresses) {
    const match = pattern.exec(path)
    if (match === null) continue
    const globalId = await find(match.slice(1), context)
    return globalId && node(globalId, context)
  }
  throw new ValidationError(
    `Expected url to be an address of Flowdock’s, such as "https://www.flowdock.com/app/example/main"; got "${url.slice(0, 80)}"`,
    [],
    { inputPath: ['url'] },
  )
}

async function inFlow(
  typename: 'Flow' | 'Message' | 'Thread',
  path: string,
  id: string | undefined,
  { flowdock }: Context,
): Promise<GlobalId | null> {
  const flow = await flowdock.load.flowByPath(path)
  return flow && { typename, id: id === undefined ? flow.id : `${flow.id}:${id}` }
}

function decodePath(pathname: string): string {
  try {
    return decodeURIComponent(pathname)
  } catch {
    return ''
  }
}
