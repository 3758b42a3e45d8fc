import { accessDenied, HttpError, invalid } from '../../http-error.ts'
import type { Answer, Backend, Route, UserRequest } from '../../router.ts'
import { type FlowRow, findFlow, isJoined } from '../../store/flows.ts'
import { streamEvents } from '../stream.ts'
import { checkVisible, joinedFlow } from './access.ts'

/** [flowdock] streaming.md. Also served at the root of a host that begins with "stream.". */
export const streamRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/stream/flows',
    auth: 'user',
    async handle(request, backend) {
      const names = (request.params.list('filter') ?? []).map((name) =>
        name.replace(/^([\w-]+):([\w-]+)$/, '$1/$2'),
      )
      const withUser = request.params.boolean('user') ?? false
      if (names.length === 0 && !withUser) throw invalid({ filter: ["can't be blank without user=1"] })
      const flows: FlowRow[] = []
      for (const name of names) flows.push(await filteredFlow(request, backend, name))
      return stream(request, backend, flows)
    },
  },
  {
    method: 'GET',
    pattern: '/stream/flows/:organization/:flow',
    auth: 'user',
    handle: async (request, backend) => stream(request, backend, [await joinedFlow(request, backend)]),
  },
]

/** One inaccessible flow fails the whole request, as it always did. */
async function filteredFlow(request: UserRequest, { store }: Backend, name: string): Promise<FlowRow> {
  const [organization, slug] = name.split('/')
  const by = organization !== undefined && slug !== undefined ? { organization, slug } : { id: name }
  const flow = checkVisible(await findFlow(store.reader, request.user.id, by))
  if (!isJoined(flow)) throw accessDenied()
  return flow
}

function stream(request: UserRequest, backend: Backend, flows: readonly FlowRow[]): Answer {
  const { params, headers, user, base } = request
  const accept = params.string('accept') ?? headers.accept ?? ''
  const lastEventId = headers['last-event-id']
  if (lastEventId !== undefined && !/^\d{1,15}$/.test(String(lastEventId)))
    throw new HttpError(400, { message: 'Last-Event-ID is not an id of this stream' })
  const options = {
    log: backend.log,
    scope: {
      flowIds: flows.map(({ id }) => id),
      userId: (params.boolean('user') ?? false) ? user.id : null,
    },
    userId: user.id,
    format: accept.includes('text/event-stream') ? ('sse' as const) : ('json' as const),
    after: lastEventId === undefined ? undefined : Number(lastEventId),
    base,
    keepAliveMs: backend.keepAliveMs,
    signal: backend.signal,
  }
  return { write: (response) => streamEvents(response, options) }
}
