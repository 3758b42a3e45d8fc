import type { Context } from '../context.ts'
import { NotFoundError, UpstreamError, ValidationError } from '../errors.ts'
import type { Page } from '../upstream/flowdock/lists.ts'
import type { Flow, Message, Thread, ThreadAction } from '../upstream/flowdock/model.ts'
import type { FlowBy } from './flows.ts'
import { encodeInFlow } from './global-id.ts'
import { checkFilled, requireCapability, resolveFlowPath, resolveThread } from './inputs.ts'
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

/** The new state of a thread. */
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

/** How many pages of threads one request with `last` reads. */
const maxBackwardPages = 10

export function id(thread: Thread): string {
  return encodeInFlow('Thread', thread.flowId, thread.id)
}

export async function flow(thread: Thread, _: unknown, { flowdock }: Context): Promise<Flow | null> {
  return flowdock.load.flow(thread.flowId)
}

/** The URL in the REST API. */
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

/**
 * The threads of a flow, latest update first. [flowdock] threads.md: the upstream pages by the time of the update alone, which
 * several threads may share. So a cursor has the id of the thread, too.
 */
export async function flowThreads(
  flow: Flow,
  args: ThreadArgs,
  { flowdock }: Context,
): Promise<Connection<Thread>> {
  const { from, size } = pageSize(args, { from: 'front', size: 30 })
  const after = args.after == null ? undefined : decodeThreadCursor(args.after, 'after')
  const before = args.before == null ? undefined : decodeThreadCursor(args.before, 'before')
  const filter = { application: args.origin ?? undefined, includeEmpty: args.includeEmpty }
  // The bounds of the upstream are exclusive: one millisecond more includes the threads with the time of the cursor.
  const since = Math.max(args.since ?? 0, before === undefined ? 0 : before.updatedAt - 1) || undefined
  const range = new ThreadRange(
    (position, end, limit) => {
      const until = Math.min(end === undefined ? Infinity : end + 1, args.until ?? Infinity)
      return flowdock.threads.list(flow.path, {
        ...filter,
        since,
        until: until === Infinity ? undefined : until,
        after: position,
        limit,
      })
    },
    after,
    before,
  )
  if (from === 'back') {
    const threads = await range.readAll()
    return toConnection(threads.slice(-size), threadCursor, {
      next: before !== undefined,
      previous: threads.length > size || after !== undefined,
    })
  }
  const items = (await range.read(size)).slice(0, size)
  return toConnection(items, threadCursor, {
    next: () => range.hasMoreThan(size),
    previous: after !== undefined,
  })
}

/**
 * Lists threads that were updated at `end` or earlier. An upstream that knows `position` leaves out what comes before it;
 * another one ignores it.
 */
type ListThreads = (
  position: ThreadPosition | undefined,
  end: number | undefined,
  limit: number,
) => Promise<Page<Thread>>

/**
 * The threads between two positions, read in as many calls as necessary. The order of threads with the same time is unknown in
 * the upstream, so they are used when all of them were read.
 */
class ThreadRange {
  readonly #list: ListThreads
  readonly #before: ThreadPosition | undefined
  readonly #found = new Map<string, Thread>()
  /** The threads with the last time of a page. The next page may have more with that time. */
  #incomplete: readonly Thread[] = []
  #position: ThreadPosition | undefined
  #end: number | undefined
  #ended = false

  constructor(list: ListThreads, after: ThreadPosition | undefined, before: ThreadPosition | undefined) {
    this.#list = list
    this.#position = after
    this.#end = after?.updatedAt
    this.#before = before
  }

  /** The threads read so far, at least `count` if there are as many. */
  async read(count: number): Promise<readonly Thread[]> {
    // One more thread completes the last time. Another upstream may begin with the thread of the cursor.
    let limit = Math.min(count + (this.#position === undefined ? 1 : 2), maxPageSize)
    while (!this.#ended && this.#found.size < count) {
      await this.#readPage(limit)
      limit = maxPageSize
    }
    return [...this.#found.values()]
  }

  async hasMoreThan(count: number): Promise<boolean> {
    if (this.#found.size > count || this.#incomplete.length > 0) return true
    return (await this.read(count + 1)).length > count
  }

  /** @throws ValidationError when there are more than are read for one page */
  async readAll(): Promise<readonly Thread[]> {
    const most = maxBackwardPages * maxPageSize
    const threads = await this.read(most)
    if (this.#ended) return threads
    throw new ValidationError(
      `Expected last to be used among the ${most} newest threads; give until, or read with first and after`,
    )
  }

  async #readPage(limit: number): Promise<void> {
    const { items: page, sent } = await this.#list(this.#position, this.#end, limit)
    const start = this.#position
    const inRange = (thread: Thread) =>
      (start === undefined || compare(thread, start) > 0) &&
      (this.#before === undefined || compare(thread, this.#before) < 0)
    const last = page.at(-1)
    this.#ended = last === undefined || sent < limit
    let complete = page
    if (last !== undefined && !this.#ended) {
      this.#end = last.updatedAt
      complete = page.filter(({ updatedAt }) => updatedAt !== last.updatedAt)
      // All threads of the page have one time: an upstream that knows positions continues after its last thread.
      if (complete.length === 0 && limit === maxPageSize) complete = checkOrder(page, start)
    }
    const taken = new Set(complete)
    this.#incomplete = page.filter((thread) => !taken.has(thread) && inRange(thread))
    for (const thread of complete.filter(inRange).sort(compare))
      if (!this.#found.has(thread.id)) this.#found.set(thread.id, thread)
    this.#position = complete.toSorted(compare).at(-1) ?? this.#position
    if (this.#before !== undefined && last !== undefined && compare(last, this.#before) > 0)
      this.#ended ||= this.#incomplete.length === 0
  }
}

/** @throws UpstreamError when threads of one time are not in the order of positions, so that some could be left out */
function checkOrder(page: readonly Thread[], start: ThreadPosition | undefined): Thread[] {
  const ordered = page.toSorted(compare)
  const follows = (thread: Thread) => start === undefined || compare(thread, start) > 0
  if (ordered.every((thread, index) => thread === page[index] && follows(thread))) return ordered
  throw new UpstreamError(
    'UPSTREAM_INVALID',
    `The upstream has more than ${maxPageSize} threads with one time, and no way to list all of them`,
  )
}

interface ThreadPosition {
  readonly updatedAt: number
  readonly id: string
}

/** Newest update first; threads with the same time in descending order of their ids. */
function compare(a: ThreadPosition, b: ThreadPosition): number {
  if (a.updatedAt !== b.updatedAt) return b.updatedAt - a.updatedAt
  return a.id === b.id ? 0 : a.id < b.id ? 1 : -1
}

function threadCursor({ updatedAt, id }: Thread): string {
  return encodeCursor('thread', `${updatedAt}:${id}`)
}

function decodeThreadCursor(cursor: string, name: 'after' | 'before'): ThreadPosition {
  const [, updatedAt, id] = /^(\d{1,16}):(.+)$/.exec(decodeCursor('thread', cursor, name)) ?? []
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
  const path = await resolveFlowPath(input.flow, context, ['input', 'flow'])
  return { thread: await context.flowdock.threads.create(path, { ...threadState(input), title }) }
}

/** Runs an action of a thread, by its present state. */
export async function runThreadAction(
  _: unknown,
  { input }: { input: { threadId: string; name: string } },
  context: Context,
): Promise<{ thread: Thread }> {
  const { flowPath, threadId } = await resolveThread(input.threadId, context, ['input', 'threadId'])
  const find = async () => {
    const thread = await context.flowdock.threads.find(flowPath, threadId)
    if (thread === null)
      throw new NotFoundError('The thread does not exist, or you cannot see it', {
        inputPath: ['input', 'threadId'],
      })
    return thread
  }
  const action = (await find()).actions.find(
    (each) => each.kind === 'UpdateAction' && each.name === input.name,
  )
  if (action?.kind !== 'UpdateAction')
    throw new NotFoundError(`The thread has no button "${input.name}"`, {
      inputPath: ['input', 'name'],
    })
  await context.flowdock.threads.runAction(action.target.urlTemplate)
  return { thread: await find() }
}
