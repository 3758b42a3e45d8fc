import { accessDenied, HttpError, invalid } from '../../http-error.ts'
import type { Answer, Backend, Route, UserRequest } from '../../router.ts'
import { lastEventSeq } from '../../store/events.ts'
import { type FlowRow, findFlow, isJoined, listFlows } from '../../store/flows.ts'
import { streamEvents } from '../stream.ts'
import { checkVisible, joinedFlow } from './access.ts'

/** [flowdock] streaming.md. Also served at the root of a host that begins with "stream.". */
export const streamRoutes: readonly Route[] = [
  // A filter of thousands of flows is too long for an address: it may come as a body, too.
  ...(['GET', 'POST'] as const).map(
    (method): Route => ({
      method,
      pattern: '/stream/flows',
      auth: 'user',
      async handle(request, backend) {
        const checkedAt = await lastEventSeq(backend.store.reader)
        const names = filterOf(request)
        const withUser = request.params.boolean('user') ?? false
        if (names.length === 0 && !withUser) throw invalid({ filter: ["can't be blank without user=1"] })
        // An extension: every flow one has joined, now and later.
        if (names.includes('*')) {
          const flows = await listFlows(backend.store.reader, request.user.id, 'joined')
          return stream(request, backend, flows, checkedAt, true)
        }
        const flows: FlowRow[] = []
        for (const name of names) flows.push(await filteredFlow(request, backend, name))
        return stream(request, backend, flows, checkedAt, false)
      },
    }),
  ),
  {
    method: 'GET',
    pattern: '/stream/flows/:organization/:flow',
    auth: 'user',
    async handle(request, backend) {
      const checkedAt = await lastEventSeq(backend.store.reader)
      return stream(request, backend, [await joinedFlow(request, backend)], checkedAt, false)
    },
  },
]

/** The flows of a filter, which may be given several times. Old ids are written with a colon. */
function filterOf({ query, params }: UserRequest): string[] {
  const inAddress = query.getAll('filter').flatMap((text) => text.split(','))
  const names = inAddress.length > 0 ? inAddress : (params.list('filter') ?? [])
  return [...new Set(names.map((name) => name.trim()).filter((name) => name !== ''))]
}

/** One inaccessible flow fails the whole request, as it always did. */
async function filteredFlow(request: UserRequest, { store }: Backend, name: string): Promise<FlowRow> {
  const [organization, slug] = name.replace(/^([\w-]+):([\w-]+)$/, '$1/$2').split('/')
  const by = organization !== undefined && slug !== undefined ? { organization, slug } : { id: name }
  const flow = checkVisible(await findFlow(store.reader, request.user.id, by))
  if (!isJoined(flow)) throw accessDenied()
  return flow
}

/** @param checkedAt the newest event before access to the flows was looked up */
function stream(
  request: UserRequest,
  backend: Backend,
  flows: readonly FlowRow[],
  checkedAt: number,
  followsUser: boolean,
): Answer {
  const { params, headers, user, base } = request
  const accept = params.string('accept') ?? headers.accept ?? ''
  const lastEventId = headers['last-event-id']
  if (lastEventId !== undefined && !/^\d{1,15}$/.test(String(lastEventId)))
    throw new HttpError(400, { message: 'Last-Event-ID is not an id of this stream' })
  // An id from before a backup was restored: going on from it would leave out what comes until it is reached.
  if (Number(lastEventId ?? 0) > checkedAt)
    throw new HttpError(410, {
      message: `Last-Event-ID ${lastEventId} is not in the log, which ends at ${checkedAt}`,
    })
  const options = {
    log: backend.log,
    scope: {
      flowIds: flows.map(({ id }) => id),
      userId: (params.boolean('user') ?? false) ? user.id : null,
    },
    userId: user.id,
    format: accept.includes('text/event-stream') ? ('sse' as const) : ('json' as const),
    followsUser,
    checkedAt,
    after: lastEventId === undefined ? checkedAt : Number(lastEventId),
    base,
    keepAliveMs: backend.keepAliveMs,
    signal: backend.signal,
  }
  return { write: (response) => streamEvents(response, options) }
}
