import { randomBytes } from 'node:crypto'
import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import type { FlowBy } from './flows.ts'
import { checkFilled } from './inputs.ts'
import { sendTarget } from './messages.ts'

interface CreateUploadInput {
  readonly flow?: FlowBy | null | undefined
  readonly threadId?: string | null | undefined
  readonly userId?: string | null | undefined
  readonly name: string
  readonly contentType: string
  readonly tags?: readonly string[] | null | undefined
  readonly uuid?: string | null | undefined
}

const maxNameBytes = 255
const mediaTypePattern = /^[\w.+-]+\/[\w.+-]+$/

/** A URL that accepts one file. */
export interface UploadUrl {
  readonly path: string
  readonly expiresAt: number
}

interface UploadFileInput extends Omit<CreateUploadInput, 'name' | 'contentType'> {
  readonly file: Attached
  readonly name?: string | null | undefined
}

/** A file of the request. */
export interface Attached {
  readonly name: string
  readonly contentType: string
  readonly byteSize: number
  read(): AsyncIterable<Uint8Array>
}

export async function uploadFile(
  _: unknown,
  { input }: { input: UploadFileInput },
  context: Context,
): Promise<{ message: Message }> {
  const name = checkFileName(input.name ?? input.file.name)
  const { channel, threadId } = await sendTarget(input, context)
  const message = await context.flowdock.messages.sendFile(
    {
      channel,
      threadId,
      name,
      contentType: mediaType(input.file),
      tags: input.tags ?? [],
      uuid: input.uuid ?? randomBytes(16).toString('base64url'),
    },
    input.file.read(),
  )
  return { message }
}

/** @throws ValidationError for a name that is blank, or longer than file systems allow */
function checkFileName(text: string): string {
  const name = checkFilled(text, 'name')
  if (Buffer.byteLength(name) <= maxNameBytes) return name
  throw new ValidationError(
    `Expected input.name to have at most ${maxNameBytes} bytes`,
    [{ field: 'name', message: 'is too long' }],
    { inputPath: ['input', 'name'] },
  )
}

/** The value goes into a header, so a malformed media type is replaced. */
export function mediaType({ contentType }: Attached): string {
  return mediaTypePattern.test(contentType) ? contentType : 'application/octet-stream'
}

/** Returns the URL for the bytes of a file. The upstream checks the target and the credential. */
export async function createUpload(
  _: unknown,
  { input }: { input: CreateUploadInput },
  context: Context,
): Promise<UploadUrl> {
  const name = checkFileName(input.name)
  if (!mediaTypePattern.test(input.contentType))
    throw new ValidationError(
      'Expected input.contentType to be a media type, such as image/png',
      [{ field: 'contentType', message: 'is not a media type' }],
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
