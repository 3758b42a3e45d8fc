import { accessDenied, HttpError, invalid } from '../../http/errors.ts'
import { type EventScope, firstEventSeq, lastEventSeq } from '../../store/events.ts'
import { type FlowRow, isJoined, listFlows, listFlowUsers } from '../../store/flows.ts'
import type { CredentialUser } from '../open-credentials.ts'
import type { Activity } from '../presence.ts'
import { withoutDeleted } from '../replay.ts'
import type { Answer, Backend, Route, Scope, UserRequest } from '../route.ts'
import { streamEvents } from '../stream.ts'
import { checkVisible, findFlowByName, visibleFlow } from './access.ts'

/**
 * The most flows of a stream. Each is looked up, also for each page of a replay. Subscriptions of the gateway have the same
 * limit.
 */
const maxFilter = 150

/** [flowdock] streaming.md. Also served at the root of a host that begins with "stream.". */
export const streamRoutes: readonly Route[] = [
  // A filter of many flows is too long for a URL, so it may be in a body, too.
  ...(['GET', 'POST'] as const).map(
    (method): Route => ({
      method,
      pattern: '/stream/flows',
      auth: 'user',
      async handle(request, backend) {
        const checkedAt = await lastEventSeq(backend.store.reader)
        const names = filterOf(request)
        const withUser = request.params.boolean('user') ?? false
        if (names.length > 0) requireScope(request, 'flow')
        if (names.length === 0 && !withUser) throw invalid({ filter: ["can't be blank without user=1"] })
        // An extension: all flows that the user has joined or joins later.
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
      requireScope(request, 'flow')
      const checkedAt = await lastEventSeq(backend.store.reader)
      // Not from memory: the log may have the event of a commit that the memory does not know yet.
      const flow = await visibleFlow(request, backend)
      if (!isJoined(flow)) throw accessDenied()
      return stream(request, backend, [flow], checkedAt, false)
    },
  },
]

/** [flowdock] streaming.md: `true`, which a client writes `True`, or `idle`. */
function activityOf(active: string | undefined): Activity | undefined {
  if (active === 'idle') return 'idle'
  return active !== undefined && /^(true|1)$/i.test(active) ? 'active' : undefined
}

/** @throws 403 when the token of an application does not have the scope */
function requireScope({ scopes }: UserRequest, scope: Scope): void {
  if (scopes !== undefined && !scopes.has(scope))
    throw new HttpError(403, { message: `Access denied: the token needs the scope ${scope}` })
}

/** Whether an `Accept` prefers an event stream to JSON, the default. [spec] RFC 9110, 12.5.1 */
function prefersEvents(accept: string): boolean {
  const weights = new Map<string, number>()
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((text) => text.trim())
    const weight = parameters.find((text) => text.startsWith('q='))
    weights.set(type, weight === undefined ? 1 : Number(weight.slice(2)))
  }
  const events = weights.get('text/event-stream') ?? 0
  return events > 0 && events >= (weights.get('application/json') ?? 0)
}

/** Go's eventsource package sends the header without a value until there was an event with an id. */
function lastEventIdOf({ 'last-event-id': header }: UserRequest['headers']): string | undefined {
  const id = String(header ?? '').trim()
  return id === '' || id === 'null' ? undefined : id
}

/** The flows of a filter, which may be given several times. */
function filterOf({ query, params }: UserRequest): string[] {
  const inAddress = query.getAll('filter').flatMap((text) => text.split(','))
  const names = inAddress.length > 0 ? inAddress : (params.list('filter') ?? [])
  // Several spellings of one flow count several times, because each is looked up.
  if (names.length > maxFilter)
    throw invalid({ filter: [`names too many flows (maximum is ${maxFilter}; * is all)`] })
  return [...new Set(names.map((name) => name.trim()).filter((name) => name !== '' && name !== 'null'))]
}

/** [flowdock] One flow without access fails the whole request. */
async function filteredFlow(request: UserRequest, { store }: Backend, name: string): Promise<FlowRow> {
  const flow = checkVisible(await findFlowByName(store.reader, request.user.id, name))
  if (!isJoined(flow)) throw accessDenied()
  return flow
}

/** @param checkedAt the number of the newest event before the access to the flows was checked */
async function stream(
  request: UserRequest,
  backend: Backend,
  flows: readonly FlowRow[],
  checkedAt: number,
  followsUser: boolean,
): Promise<Answer> {
  const { params, headers, user, base } = request
  const withUser = params.boolean('user') ?? false
  if (withUser) requireScope(request, 'private')
  const accept = params.string('accept') ?? headers.accept ?? ''
  const lastEventId = lastEventIdOf(headers)
  if (lastEventId !== undefined && !/^\d{1,15}$/.test(lastEventId))
    throw new HttpError(400, { message: 'Last-Event-ID is not an id of this stream' })
  // An id from before a backup was restored: resuming there would skip all events up to that number.
  if (Number(lastEventId ?? 0) > checkedAt)
    throw new HttpError(410, {
      message: `Last-Event-ID ${lastEventId} is not in the log, which ends at ${checkedAt}`,
    })
  const first = await firstEventSeq(backend.store.reader)
  if (lastEventId !== undefined && Number(lastEventId) < first - 1)
    throw new HttpError(410, {
      message: `Last-Event-ID ${lastEventId} is too old: the log begins at ${first}; read what was missed with since_id`,
    })
  const options = {
    log: {
      ...backend.log,
      replay: async (scope: EventScope, seq: number, limit: number) =>
        withoutDeleted(backend.store.reader, await backend.log.replay(scope, seq, limit)),
    },
    scope: {
      flowIds: flows.map(({ id }) => id),
      userId: withUser ? user.id : null,
    },
    userId: user.id,
    format: prefersEvents(accept) ? ('sse' as const) : ('json' as const),
    followsUser,
    checkedAt,
    after: lastEventId === undefined ? checkedAt : Number(lastEventId),
    base,
    keepAliveMs: backend.keepAliveMs,
    presence: backend.presence,
    activity: activityOf(params.string('active')),
    wantsPresence: params.boolean('presence') ?? false,
    // `now` is the number of the newest event.
    until: params.string('until') === 'now' ? checkedAt : params.integer('until'),
    listMembers: async (flowIds: readonly string[]) =>
      (await listFlowUsers(backend.store.reader, flowIds))
        .filter(({ flow_disabled }) => flow_disabled === 0)
        .map(({ id }) => id),
    watchCredential: (stream: Omit<CredentialUser, 'signedInBy'>) =>
      backend.openCredentials.watch({ ...stream, signedInBy: request.signedInBy }),
    signal: backend.signal,
  }
  return {
    async write(response) {
      const leave = backend.traffic.openStream(request.principal)
      if (response.closed) leave()
      else response.on('close', leave)
      await streamEvents(response, options)
    },
  }
}
