import { randomBytes } from 'node:crypto'
import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { FlowBy } from './flows.ts'
import { sendTarget } from './messages.ts'
import { checkFilled } from './named.ts'

interface CreateUploadInput {
  readonly flow?: FlowBy | null | undefined
  readonly threadId?: string | null | undefined
  readonly userId?: string | null | undefined
  readonly name: string
  readonly contentType: string
  readonly tags?: readonly string[] | null | undefined
  readonly uuid?: string | null | undefined
}

/** An address that takes one file. */
export interface UploadAddress {
  readonly path: string
  readonly expiresAt: number
}

/** Says where the bytes of a file go. Nothing is asked of the upstream but where that is. */
export async function createUpload(
  _: unknown,
  { input }: { input: CreateUploadInput },
  context: Context,
): Promise<UploadAddress> {
  const name = checkFilled(input.name, 'name')
  if (!/^[\w.+-]+\/[\w.+-]+$/.test(input.contentType))
    throw new ValidationError(
      'Expected input.contentType to be a media type, such as image/png',
      [{ field: 'contentType', message: 'is no media type' }],
      { inputPath: ['input', 'contentType'] },
    )
  const { channel, threadId } = await sendTarget(input, context)
  return context.uploadAddress({
    channel,
    threadId,
    name,
    contentType: input.contentType,
    tags: input.tags ?? [],
    uuid: input.uuid ?? randomBytes(16).toString('base64url'),
  })
}
