import { HttpError, invalid, notFound } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import { findAvatar } from '../../store/avatars.ts'
import { avatarUrl, generateAvatar, maxAvatarBytes } from '../avatar.ts'
import { avatarProblem, setAvatar } from '../operations/users.ts'
import type { Route } from '../route.ts'
import { segment } from './access.ts'

/** Pictures of users. [flowdock] Their URLs need no credential, since web pages and e-mails show them. */
export const avatarRoutes: readonly Route[] = [
  ...['/avatars/:key', '/avatars/:key/:size'].map(
    (pattern): Route => ({
      method: 'GET',
      pattern,
      auth: 'any',
      async handle(request, { store }) {
        const key = segment(request, 'key')
        if (!/^[0-9a-f]{32}$/.test(key)) throw notFound()
        const stored = await findAvatar(store.reader, key)
        const bytes = stored?.bytes ?? generateAvatar(key, pixelsOf(request.path['size']))
        return {
          status: 200,
          content: bytes,
          headers: {
            'Content-Type': stored?.content_type ?? 'image/png',
            // A new picture has a new key, so a cached response stays right.
            'Cache-Control': 'public, max-age=86400',
            'Content-Security-Policy': "default-src 'none'; sandbox",
            'Cross-Origin-Resource-Policy': 'cross-origin',
            'X-Content-Type-Options': 'nosniff',
          },
        }
      },
    }),
  ),
  // An extension: the service's own apps could do this, its API could not.
  ...(['PUT', 'POST'] as const).map(
    (method): Route => ({
      method,
      pattern: '/user/avatar',
      auth: 'user',
      async handle({ user, params, base }, { log }) {
        const bytes = pictureOf(params)
        const problem = avatarProblem(bytes)
        if (problem !== undefined) throw invalid({ avatar: [problem] })
        const avatar = await log.write((change) => setAvatar(change, user, bytes))
        return { status: 200, body: { avatar: avatarUrl({ id: user.id, avatar }, base) } }
      },
    }),
  ),
  {
    method: 'DELETE',
    pattern: '/user/avatar',
    auth: 'user',
    async handle({ user }, { log }) {
      await log.write((change) => setAvatar(change, user, undefined))
      return { status: 204 }
    },
  },
]

/** Clients append a size such as `120` or `120x120`, and some a file name. */
function pixelsOf(size: string | undefined): number | undefined {
  const digits = /^\d{1,5}/.exec(size ?? '')?.[0]
  return digits === undefined ? undefined : Number(digits)
}

/** A part of a multipart body, or Base64 as files have it. @throws 400 when there is none */
function pictureOf(params: Params): Uint8Array {
  const uploaded = params.file('avatar')
  if (uploaded !== undefined) {
    if (uploaded.file.byteSize > maxAvatarBytes)
      throw new HttpError(413, { message: `Picture is longer than ${maxAvatarBytes} bytes` })
    return uploaded.file.head
  }
  const data = params.object('avatar')?.string('data')
  if (data === undefined) throw invalid({ avatar: ["can't be blank"] })
  return Buffer.from(data, 'base64')
}
