import type { Context } from '../context.ts'
import type { User } from '../upstream/flowdock/model.ts'
import { encodeGlobalId } from './global-id.ts'
import { checkFilled, requireCapability } from './inputs.ts'
import { type Attached, mediaType } from './uploads.ts'

export function id(user: User): string {
  return encodeGlobalId('User', String(user.id))
}

export function url(user: User, _: unknown, { flowdock }: Context): string {
  return flowdock.address('users', String(user.id))
}

export async function viewer(_: unknown, __: unknown, { flowdock }: Context): Promise<User> {
  return flowdock.load.viewer()
}

export async function updateViewer(
  _: unknown,
  { input }: { input: { nick?: string | null | undefined; email?: string | null | undefined } },
  { flowdock }: Context,
): Promise<{ user: User }> {
  const { id } = await flowdock.load.viewer()
  await flowdock.users.update(id, {
    nick: input.nick == null ? undefined : checkFilled(input.nick, 'nick'),
    email: input.email == null ? undefined : checkFilled(input.email, 'email'),
  })
  // The response to the change is empty.
  return { user: await flowdock.users.viewer() }
}

export async function setAvatar(
  _: unknown,
  { input }: { input: { avatar?: Attached | null | undefined } },
  context: Context,
): Promise<{ user: User }> {
  await requireCapability('avatar', context)
  const { users } = context.flowdock
  const { avatar } = input
  await users.setAvatar(
    avatar == null ? null : { name: avatar.name, contentType: mediaType(avatar), bytes: avatar.read() },
  )
  return { user: await users.viewer() }
}
