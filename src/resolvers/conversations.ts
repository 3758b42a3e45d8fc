import type { Context } from '../context.ts'
import { NotFoundError } from '../errors.ts'
import type { PrivateConversation } from '../upstream/flowdock/model.ts'
import { encodeGlobalId } from './global-id.ts'
import { resolveUser } from './inputs.ts'
import { type Connection, listConnection, type PageArgs } from './pagination.ts'

export function id({ user }: PrivateConversation): string {
  return encodeGlobalId('PrivateConversation', String(user.id))
}

export async function privateConversations(
  _: unknown,
  args: PageArgs,
  { flowdock }: Context,
): Promise<Connection<PrivateConversation>> {
  return listConnection('conversation', await flowdock.conversations.list(), ({ user }) => user.id, args)
}

export async function privateConversation(
  _: unknown,
  { userId }: { userId: string },
  { flowdock }: Context,
): Promise<PrivateConversation | null> {
  return flowdock.load.conversation(resolveUser(userId, ['userId']))
}

export async function openPrivateConversation(
  _: unknown,
  { input }: { input: { userId: string } },
  context: Context,
): Promise<{ conversation: PrivateConversation }> {
  return setOpen(input.userId, true, context)
}

export async function closePrivateConversation(
  _: unknown,
  { input }: { input: { userId: string } },
  context: Context,
): Promise<{ conversation: PrivateConversation }> {
  return setOpen(input.userId, false, context)
}

async function setOpen(
  globalId: string,
  isOpen: boolean,
  { flowdock }: Context,
): Promise<{ conversation: PrivateConversation }> {
  const path = ['input', 'userId']
  const userId = resolveUser(globalId, path)
  // The upstream creates the conversation when it is first read.
  if ((await flowdock.load.conversation(userId)) === null)
    throw new NotFoundError('The user does not exist or shares no organization with you', { inputPath: path })
  return { conversation: await flowdock.conversations.setOpen(userId, isOpen) }
}
