import type { Context } from '../context.ts'
import { NotFoundError, ValidationError } from '../errors.ts'
import type { Flow, Message, Thread, ThreadAction } from '../upstream/flowdock/model.ts'
import type { FlowBy } from './flows.ts'
import { encodeInFlow } from './global-id.ts'
import { checkFilled, namedFlowPath, namedThread, requireCapability } from './named.ts'
import {
  type Connection,
  decodeCursor,
  encodeCursor,
  maxPageSize,
  type PageArgs,
  pageSize,
  toConnection,
} from './pagination.ts'

interface ThreadArgs extends PageArgs {
  readonly since?: number | null | undefined
  readonly until?: number | null | undefined
  readonly origin?: 'chat' | 'inbox' | null | undefined
  readonly includeEmpty: boolean
}

/** What a thread is to look like. */
export interface ThreadInput {
  readonly title?: string | null | undefined
  readonly body?: string | null | undefined
  readonly externalUrl?: string | null | undefined
  readonly status?: { readonly color: string; readonly value: string } | null | undefined
  readonly fields?: readonly { readonly label: string; readonly value: string }[] | null | undefined
  readonly actions?: readonly ActionInput[] | null | undefined
}

interface ActionInput {
  readonly view?:
    | {
        readonly name: string
        readonly url: string
        readonly description?: string | null | undefined
        readonly imageUrl?: string | null | undefined
      }
    | null
    | undefined
  readonly update?:
    | {
        readonly name: string
        readonly target: { readonly urlTemplate: string; readonly httpMethod: string }
      }
    | null
    | undefined
}

/** How many pages are read to find what stands right before a cursor. */
const maxBackwardPages = 10

export function id(thread: Thread): string {
  return encodeInFlow('Thread', thread.flowId, thread.id)
}

export async function flow(thread: Thread, _: unknown, { flowdock }: Context): Promise<Flow | null> {
  return flowdock.load.flow(thread.flowId)
}

/** Its address in the REST API. */
export async function url(thread: Thread, _: unknown, { flowdock }: Context): Promise<string | null> {
  const flow = await flowdock.load.flow(thread.flowId)
  return flow && `${flow.url}/threads/${thread.id}`
}

export async function webUrl(thread: Thread, _: unknown, { flowdock }: Context): Promise<string | null> {
  const flow = await flowdock.load.flow(thread.flowId)
  return flow && `${flow.webUrl}/threads/${thread.id}`
}

export async function initialMessage(
  thread: Thread,
  _: unknown,
  { flowdock }: Context,
): Promise<Message | null> {
  return thread.initialMessageId === null
    ? null
    : flowdock.load.message(thread.flowId, thread.initialMessageId)
}

export async function flowThread(
  flow: Flow,
  { databaseId }: { databaseId: string },
  { flowdock }: Context,
): Promise<Thread | null> {
  return flowdock.load.thread(flow.id, databaseId)
}

/** The threads of a flow, newest update first. The upstream pages by that time alone, from the newest on. */
export async function flowThreads(
  flow: Flow,
  args: ThreadArgs,
  { flowdock }: Context,
): Promise<Connection<Thread>> {
  const { from, size } = pageSize(args, { from: 'front', size: 30 })
  const after = args.after == null ? undefined : decodeThreadCursor(args.after, 'after')
  const before = args.before == null ? undefined : decodeThreadCursor(args.before, 'before')
  const filter = { application: args.origin ?? undefined, includeEmpty: args.includeEmpty }
  // The bounds of the upstream are exclusive and several threads may share a time: ask for one millisecond more
  // and leave out what stands on the other side of the cursor.
  const since = Math.max(args.since ?? 0, before === undefined ? 0 : before.updatedAt - 1) || undefined
  const read = async (until: number | undefined, limit: number) =>
    flowdock.threads.list(flow.path, { ...filter, since, until, limit })
  const inRange = (thread: Thread) =>
    (after === undefined || compare(thread, after) > 0) &&
    (before === undefined || compare(thread, before) < 0)
  const start =
    after === undefined ? (args.until ?? undefined) : Math.min(after.updatedAt + 1, args.until ?? Infinity)

  if (from === 'back') {
    if (before === undefined) throw new ValidationError('Expected before together with last')
    const range = (await readAll(read, start)).filter(inRange)
    return toConnection(range.slice(-size), threadCursor, { next: true, previous: range.length > size })
  }
  const page = await read(start, Math.min(size + (after === undefined ? 1 : 2), maxPageSize))
  const range = page.filter(inRange)
  const items = range.slice(0, size)
  const next = async () => {
    if (range.length > size || page.length < maxPageSize) return range.length > size
    const last = items.at(-1)
    return last !== undefined && (await read(last.updatedAt, 1)).length > 0
  }
  return toConnection(items, threadCursor, { next, previous: after !== undefined })
}

/** Every thread between the bounds, in as many reads as that takes. */
async function readAll(
  read: (until: number | undefined, limit: number) => Promise<Thread[]>,
  start: number | undefined,
): Promise<Thread[]> {
  const threads: Thread[] = []
  const seen = new Set<string>()
  let until = start
  for (let pages = 0; pages < maxBackwardPages; pages += 1) {
    const page = await read(until, maxPageSize)
    for (const thread of page) if (!seen.has(thread.id)) threads.push(thread)
    for (const thread of page) seen.add(thread.id)
    if (page.length < maxPageSize) return threads
    until = (page.at(-1) as Thread).updatedAt + 1
  }
  throw new ValidationError(
    `Expected before to be among the ${maxBackwardPages * maxPageSize} newest threads`,
  )
}

interface ThreadPlace {
  readonly updatedAt: number
  readonly id: string
}

/** Newest update first; threads with the same time in descending order of their ids. */
function compare(a: ThreadPlace, b: ThreadPlace): number {
  if (a.updatedAt !== b.updatedAt) return b.updatedAt - a.updatedAt
  return a.id === b.id ? 0 : a.id < b.id ? 1 : -1
}

function threadCursor({ updatedAt, id }: Thread): string {
  return encodeCursor('thread', `${updatedAt}:${id}`)
}

function decodeThreadCursor(cursor: string, name: 'after' | 'before'): ThreadPlace {
  const [, updatedAt, id] = /^(\d{1,15}):(.+)$/.exec(decodeCursor('thread', cursor, name)) ?? []
  if (updatedAt === undefined || id === undefined)
    throw new ValidationError(`Expected ${name} to be a cursor of a list of threads`)
  return { updatedAt: Number(updatedAt), id }
}

export function threadState(input: ThreadInput) {
  return {
    title: input.title ?? undefined,
    body: input.body ?? undefined,
    externalUrl: input.externalUrl ?? undefined,
    status: input.status ?? undefined,
    fields: input.fields ?? undefined,
    actions: input.actions?.map(toAction),
  }
}

function toAction({ view, update }: ActionInput): ThreadAction {
  if (view != null)
    return {
      kind: 'ViewAction',
      name: view.name,
      url: view.url,
      description: view.description ?? null,
      imageUrl: view.imageUrl ?? null,
    }
  if (update != null) return { kind: 'UpdateAction', ...update }
  throw new ValidationError('Expected each of input.actions to be a view or an update')
}

export async function createThread(
  _: unknown,
  { input }: { input: ThreadInput & { flow: FlowBy; title: string } },
  context: Context,
): Promise<{ thread: Thread }> {
  const title = checkFilled(input.title, 'title')
  await requireCapability('createThread', context)
  const path = await namedFlowPath(input.flow, context, ['input', 'flow'])
  return { thread: await context.flowdock.threads.create(path, { ...threadState(input), title }) }
}

/** Clicks an action of a thread, as it is shown now. */
export async function runThreadAction(
  _: unknown,
  { input }: { input: { threadId: string; name: string } },
  context: Context,
): Promise<{ thread: Thread }> {
  const { flowPath, threadId } = await namedThread(input.threadId, context, ['input', 'threadId'])
  const find = async () => {
    const thread = await context.flowdock.threads.find(flowPath, threadId)
    if (thread === null)
      throw new NotFoundError('There is no such thread', { inputPath: ['input', 'threadId'] })
    return thread
  }
  const action = (await find()).actions.find(
    (each) => each.kind === 'UpdateAction' && each.name === input.name,
  )
  if (action?.kind !== 'UpdateAction')
    throw new NotFoundError(`The thread has no action "${input.name}" that can be run`, {
      inputPath: ['input', 'name'],
    })
  await context.flowdock.threads.runAction(action.target.urlTemplate)
  return { thread: await find() }
}
