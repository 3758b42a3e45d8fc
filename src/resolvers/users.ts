import type { Context } from '../context.ts'
import type { User } from '../upstream/flowdock/model.ts'
import { encodeGlobalId } from './global-id.ts'

export function id(user: User): string {
  return encodeGlobalId('User', String(user.id))
}

export async function viewer(_: unknown, __: unknown, { flowdock }: Context): Promise<User> {
  return flowdock.load.viewer()
}
