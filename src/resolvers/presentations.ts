import { randomBytes } from 'node:crypto'
import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import { expectId, splitInFlow } from './global-id.ts'
import { checkFilled } from './named.ts'
import { type ThreadInput, threadState } from './threads.ts'

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
  readonly tags?: readonly string[] | null | undefined
  readonly uuid?: string | null | undefined
}

/** Posts as an integration, and answers what it made. */
export async function present(
  _: unknown,
  { input }: { input: PresentInput },
  { flowdock }: Context,
): Promise<{ message: Message | null }> {
  const { name, avatarUrl, email } = input.author
  if ((input.externalThreadId == null) === (input.threadId == null))
    throw new ValidationError('Expected either input.externalThreadId or input.threadId', [], {
      inputPath: ['input'],
    })
  const threadId =
    input.threadId == null
      ? undefined
      : splitInFlow(expectId('Thread', input.threadId, ['input', 'threadId'])).id
  const message = await flowdock.messages.present(checkFilled(input.flowToken, 'flowToken'), {
    title: checkFilled(input.title, 'title'),
    body: input.body ?? undefined,
    author: {
      name: checkFilled(name, 'author'),
      ...(avatarUrl == null ? {} : { avatar: avatarUrl }),
      ...(email == null ? {} : { email }),
    },
    tags: input.tags ?? [],
    // With an id of its own, what was posted without an answer can be posted again without becoming two.
    uuid: input.uuid ?? randomBytes(16).toString('base64url'),
    threadId,
    externalThreadId: input.externalThreadId ?? undefined,
    thread: input.thread == null ? undefined : threadState(input.thread),
  })
  return { message }
}
