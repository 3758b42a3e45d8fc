import { randomBytes } from 'node:crypto'
import type { Context } from '../context.ts'
import { GatewayError, ValidationError } from '../errors.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import { expectId, splitInFlow } from './global-id.ts'
import { checkFilled } from './inputs.ts'
import { type ThreadInput, threadState } from './threads.ts'
import { type Attached, mediaType } from './uploads.ts'

interface PresentInput {
  readonly flowToken: string
  readonly title: string
  readonly body?: string | null | undefined
  readonly author: {
    readonly name: string
    readonly avatarUrl?: string | null | undefined
    readonly email?: string | null | undefined
  }
  readonly externalThreadId?: string | null | undefined
  readonly threadId?: string | null | undefined
  readonly thread?: ThreadInput | null | undefined
  readonly attachments?: readonly Attached[] | null | undefined
  readonly tags?: readonly string[] | null | undefined
  readonly uuid?: string | null | undefined
}

/** Posts as an integration, and returns the message. */
export async function present(
  _: unknown,
  { input }: { input: PresentInput },
  context: Context,
): Promise<{ message: Message | null }> {
  const { flowdock } = context
  const { name, avatarUrl, email } = input.author
  if ((input.externalThreadId == null) === (input.threadId == null))
    throw new ValidationError('Expected either input.externalThreadId or input.threadId', [], {
      inputPath: ['input'],
    })
  const threadId =
    input.threadId == null
      ? undefined
      : splitInFlow(expectId('Thread', input.threadId, ['input', 'threadId']), ['input', 'threadId']).id
  const flowToken = checkFilled(input.flowToken, 'flowToken')
  // With an id, a post without a response can be repeated without a second message, and be found.
  const uuid = input.uuid ?? randomBytes(16).toString('base64url')
  const message = await flowdock.messages.present(flowToken, {
    title: checkFilled(input.title, 'title'),
    body: input.body ?? undefined,
    author: {
      name: checkFilled(name, 'author'),
      ...(avatarUrl == null ? {} : { avatar: avatarUrl }),
      ...(email == null ? {} : { email }),
    },
    tags: input.tags ?? [],
    uuid,
    threadId,
    externalThreadId: input.externalThreadId ?? undefined,
    thread: input.thread == null ? undefined : threadState(input.thread),
    attachments: (input.attachments ?? []).map((file) => ({
      name: file.name,
      contentType: mediaType(file),
      bytes: file.read(),
    })),
  })
  return { message: message ?? (await findPresented(flowToken, uuid, context)) }
}

/**
 * Finds the posted message by its id, for upstreams that do not return it. Only a member of the flow can read it. The
 * message is stored even if it is not found.
 */
async function findPresented(
  flowToken: string,
  uuid: string,
  { flowdock, isSignedIn }: Context,
): Promise<Message | null> {
  if (!isSignedIn) return null
  try {
    const source = await flowdock.sources.findByToken(flowToken)
    if (source === null) return null
    const page = { from: 'newest' as const, limit: 100, events: ['activity', 'discussion'] }
    const newest = await flowdock.messages.list(source.flowPath, undefined, page)
    return newest.items.find((message) => message.uuid === uuid) ?? null
  } catch (error) {
    if (error instanceof GatewayError) return null
    throw error
  }
}
