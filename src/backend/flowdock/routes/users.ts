import { boundedText } from '../../bounds.ts'
import { accessDenied, HttpError, invalid, notFound } from '../../http/errors.ts'
import { listFlows, listFlowUsers } from '../../store/flows.ts'
import { findUser, listOrganizationIds, listVisibleUsers, shareOrganization } from '../../store/users.ts'
import { encodeUser } from '../encode.ts'
import { isNickTaken, nickProblem } from '../nicks.ts'
import { editUser } from '../operations/users.ts'
import type { Route } from '../route.ts'
import { idSegment } from './access.ts'

/** [flowdock] users.md */
export const userRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/user',
    auth: 'user',
    handle: async ({ user, base }) => ({ status: 200, body: encodeUser(user, base) }),
  },
  {
    method: 'GET',
    pattern: '/users',
    auth: 'user',
    handle: async ({ user, base }, { store }) => ({
      status: 200,
      body: (await listVisibleUsers(store.reader, user.id)).map((row) => encodeUser(row, base)),
    }),
  },
  {
    // An extension: the presence of all members of the user's flows. Streams only send that of present users, and changes.
    method: 'GET',
    pattern: '/users/presence',
    auth: 'user',
    scopes: ['flow'],
    async handle({ user }, { store, presence }) {
      const flows = await listFlows(store.reader, user.id, 'joined')
      const members = await listFlowUsers(
        store.reader,
        flows.map(({ id }) => id),
      )
      const here = new Map(presence.list().map(({ userId, payload }) => [userId, payload.content]))
      const ids = new Set(members.filter(({ flow_disabled }) => flow_disabled === 0).map(({ id }) => id))
      return {
        status: 200,
        body: [...ids].map((id) => here.get(id) ?? { user_id: id, state: 0, updated_at: null }),
      }
    },
  },
  ...['/users/:id', '/user/:id'].map(
    (pattern): Route => ({
      method: 'GET',
      pattern,
      auth: 'user',
      async handle(request, { store }) {
        const id = idSegment(request, 'id')
        const user = await findUser(store.reader, id)
        if (user === undefined || !(await shareOrganization(store.reader, request.user.id, id)))
          throw notFound()
        return { status: 200, body: encodeUser(user, request.base) }
      },
    }),
  ),
  {
    // An extension: the service knew the presence of a user only from their streams.
    method: 'PUT',
    pattern: '/user/presence',
    auth: 'user',
    async handle({ user, params }, { presence }) {
      const state = params.string('state')
      if (state !== 'active' && state !== 'idle' && state !== 'offline')
        throw invalid({ state: ['must be active, idle or offline'] })
      presence.set(user.id, state === 'offline' ? undefined : state)
      return { status: 200, body: { state, expires_in: state === 'offline' ? 0 : presence.lastsMs / 1000 } }
    },
  },
  {
    method: 'PUT',
    pattern: '/users/:id',
    auth: 'user',
    async handle(request, { log }) {
      if (idSegment(request, 'id') !== request.user.id) throw accessDenied()
      const given = request.params.string('nick')?.toWellFormed().normalize()
      const nick = given === request.user.nick ? undefined : given
      const email = boundedText(request.params, 'email', 'email')
      const problem = nick === undefined ? undefined : nickProblem(nick)
      if (problem !== undefined) throw invalid({ nick: [problem] })
      // No user may claim an e-mail address: imports and commands identify users by it. The address is not looked up, so that the
      // response does not reveal whether another account has it.
      if (email !== undefined && email.toLowerCase() !== request.user.email.toLowerCase())
        throw new HttpError(403, {
          message:
            'Access denied: an e-mail address is changed by the operator of the server, with "user edit"',
        })
      if (nick === undefined) return { status: 200, body: {} }
      await log.write(async (change) => {
        const { id } = request.user
        if (await isNickTaken(change.db, await listOrganizationIds(change.db, id), nick, id))
          throw invalid({ nick: ['has already been taken'] })
        await editUser(change, request.user, { nick })
      })
      return { status: 200, body: {} }
    },
  },
]
