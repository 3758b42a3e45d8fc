import { boundedText } from '../../bounds.ts'
import { accessDenied, HttpError, invalid, notFound } from '../../http-error.ts'
import type { Route } from '../../router.ts'
import { findUser, listVisibleUsers, shareOrganization, updateUser } from '../../store/users.ts'
import { encodeUser } from '../encode.ts'
import { tellUserEdited } from '../members.ts'
import { idSegment } from './access.ts'

/** [flowdock] users.md */
export const userRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/user',
    auth: 'user',
    handle: async ({ user }) => ({ status: 200, body: encodeUser(user) }),
  },
  {
    method: 'GET',
    pattern: '/users',
    auth: 'user',
    handle: async ({ user }, { store }) => ({
      status: 200,
      body: (await listVisibleUsers(store.reader, user.id)).map(encodeUser),
    }),
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
        return { status: 200, body: encodeUser(user) }
      },
    }),
  ),
  {
    // An extension: the service knew only from streams who was there.
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
      const nick = request.params.string('nick')?.toWellFormed()
      const email = boundedText(request.params, 'email', 'email')
      if (nick !== undefined && !/^\S{1,50}$/.test(nick))
        throw invalid({ nick: ['must be 1 to 50 characters without whitespace'] })
      // Nobody may claim an address: imports and commands tell by it who somebody is. The address is not looked up, so
      // that the answer does not tell whether another account has it.
      if (email !== undefined && email.toLowerCase() !== request.user.email.toLowerCase())
        throw new HttpError(403, {
          message:
            'Access denied: an e-mail address is changed by the operator of the server, with "user edit"',
        })
      if (nick === undefined) return { status: 200, body: {} }
      await log.write(async (change) => {
        await updateUser(change.db, request.user.id, { nick })
        await tellUserEdited(change, { ...request.user, nick })
      })
      return { status: 200, body: {} }
    },
  },
]
