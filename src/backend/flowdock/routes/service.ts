import type { WireEntitlement } from '../../../wire/service.ts'
import { HttpError, invalid, unauthorized } from '../../http/errors.ts'
import { findLogPosition, type LogPosition, listEventsAfter } from '../../store/events.ts'
import { listJoinedFlowIds } from '../../store/flows.ts'
import { listMemberships } from '../../store/organizations.ts'
import { grantOf } from '../auth.ts'
import { withoutDeleted } from '../replay.ts'
import type { Request, Route } from '../route.ts'
import { streamLog } from '../service-stream.ts'

/** What a gateway reads from its own backend; `src/wire/service.ts` describes it. */
export const serviceRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/service/v1/stream',
    auth: 'service',
    async handle(request, backend) {
      const { store, log, presence, signal } = backend
      const { reader } = store
      const position = await findLogPosition(reader)
      const after = beginningOf(request, position)
      return {
        write: (response) =>
          streamLog(response, {
            log,
            position,
            after,
            presence,
            signal,
            base: request.base,
            readPage: async (from, limit) =>
              withoutDeleted(reader, await listEventsAfter(reader, from, limit)),
            listFlowIds: (userIds) => listJoinedFlowIds(reader, userIds),
          }),
      }
    },
  },
  {
    method: 'GET',
    pattern: '/service/v1/entitlement',
    auth: 'user',
    handle: async (request, backend) => ({
      status: 200,
      body: await backend.store.readTogether(async (db): Promise<WireEntitlement> => {
        const { user, scopes, expiresAt } = request
        if (!(await request.isValid(db))) throw unauthorized()
        const { id, last } = await findLogPosition(db)
        const joined = await listJoinedFlowIds(db, [user.id])
        const organizations = await listMemberships(db, user.id)
        return {
          log: id,
          at: last,
          user: user.id,
          grant: grantOf(request.signedInBy),
          flows: scopes === undefined || scopes.has('flow') ? (joined.get(user.id) ?? []) : [],
          private: scopes === undefined || scopes.has('private'),
          organizations,
          scopes: scopes === undefined ? null : [...scopes],
          expires_at: expiresAt ?? null,
        }
      }),
    }),
  },
]

/** The number after which a stream begins. @throws HttpError 400 or 410 */
function beginningOf({ headers, query }: Request, { first, last }: LogPosition): number {
  const lastEventId = headers['last-event-id']
  if (lastEventId !== undefined) {
    const after = readCount(String(lastEventId))
    if (after === undefined)
      throw new HttpError(400, { message: 'Last-Event-ID is not an id of this stream' })
    if (after > last || after < first - 1)
      throw new HttpError(410, {
        message: `Last-Event-ID ${after} is not in the log, which has ${first} to ${last}`,
      })
    return after
  }
  const back = query.get('back')
  if (back === null) return last
  const count = readCount(back)
  if (count === undefined) throw invalid({ back: ['must be a number of events'] })
  return Math.max(last - count, first - 1, 0)
}

function readCount(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
