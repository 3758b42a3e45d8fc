import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Flow, FlowDetails, FlowUser } from '../upstream/flowdock/model.ts'
import { encodeGlobalId, encodeInFlow, expectId } from './global-id.ts'
import { expectMessages, type SelectedMessages } from './message-page.ts'
import { type Connection, listConnection, type PageArgs } from './pagination.ts'

/** A field of the details of flows. */
function detail<T>(read: (details: FlowDetails, flow: Flow) => T | null) {
  return (flow: Flow, _: unknown, { flowdock }: Context): T | null | Promise<T | null> => {
    const details = flowdock.load.flowDetails(flow)
    const use = (known: FlowDetails | null) => known && read(known, flow)
    return details instanceof Promise ? details.then(use) : use(details)
  }
}

export const unreadMentions = detail((details) => details.unreadMentions)
export const lastMessageAt = detail((details) => details.lastMessageAt)
export const lastMessageId = detail(({ lastMessageId }, flow) =>
  lastMessageId === null ? null : encodeInFlow('Message', flow.id, lastMessageId),
)
export const pushToken = detail((details) => details.pushToken)
export const joinUrl = detail((details) => details.joinUrl)

/** Names a flow in exactly one way. */
export interface FlowBy {
  id?: string | null | undefined
  databaseId?: string | null | undefined
  path?: string | null | undefined
  url?: string | null | undefined
}

export function id(flow: Flow): string {
  return encodeGlobalId('Flow', flow.id)
}

export async function flows(
  _: unknown,
  { scope, ...page }: PageArgs & { scope: 'joined' | 'all' },
  { flowdock }: Context,
): Promise<Connection<Flow>> {
  return listConnection('flow', await flowdock.load.flows(scope), ({ path }) => path, page)
}

/** @param messages each list of messages that is selected of the flow */
export async function flow(
  _: unknown,
  { by }: { by: FlowBy },
  context: Context,
  messages: () => readonly SelectedMessages[],
): Promise<Flow | null> {
  if (by.path != null) expectMessages(checkFlowPath(by.path, ['by']), messages(), context)
  return findFlow(by, context, ['by'])
}

/**
 * @param path the path of the input `by`
 * @throws ValidationError when `by` cannot name a flow
 */
export async function findFlow(
  by: FlowBy,
  { flowdock }: Context,
  path: readonly string[],
): Promise<Flow | null> {
  if (by.databaseId != null) return flowdock.load.flow(by.databaseId)
  if (by.id != null) return flowdock.load.flow(expectId('Flow', by.id, [...path, 'id']))
  if (by.url != null) return flowdock.load.flowByPath(pathOfUrl(by.url, path))
  return flowdock.load.flowByPath(checkFlowPath(by.path ?? '', path))
}

/** @throws ValidationError unless the text is "organization/flow" */
export function checkFlowPath(flowPath: string, path: readonly string[]): string {
  if (/^[^/]+\/[^/]+$/.test(flowPath)) return flowPath
  throw new ValidationError(
    `Expected ${path.join('.')}.path to be "organization/flow", got "${flowPath.slice(0, 80)}"`,
    [],
    { inputPath: [...path, 'path'] },
  )
}

export async function users(
  flow: Flow,
  args: PageArgs,
  { flowdock }: Context,
): Promise<Connection<FlowUser>> {
  return listConnection('user', await flowdock.load.flowUsers(flow), ({ user }) => user.id, args)
}

/** [flowdock] flows.md: `…/flows/:organization/:flow` in the API, `…/app/:organization/:flow` on the web. */
function pathOfUrl(url: string, by: readonly string[]): string {
  const pathname = URL.canParse(url) ? new URL(url).pathname : ''
  const [, path] = /^\/(?:flows|app)\/([^/]+\/[^/]+)(?:\/|$)/.exec(pathname) ?? []
  if (path === undefined)
    throw new ValidationError(
      `Expected ${by.join('.')}.url to be the URL of a flow, such as "https://api.flowdock.com/flows/example/main"; got "${url.slice(0, 80)}"`,
      [],
      { inputPath: [...by, 'url'] },
    )
  return path
}
