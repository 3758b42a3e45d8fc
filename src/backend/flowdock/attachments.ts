import { Readable } from 'node:stream'
import type { WireAttachment } from '../../wire/flowdock.ts'
import type { FileStore, ReceivedFile } from '../files.ts'
import { storageError } from '../http/storage-error.ts'
import type { FileRow } from '../store/files.ts'
import type { Channel } from './channel.ts'
import { plainContentType, plainFileName } from './file-description.ts'
import { imageDimensions, makeThumbnail } from './image.ts'

/** A received file as its message shows it, and the rows to store with the message. */
export interface DescribedFile {
  readonly attachment: WireAttachment
  readonly rows: readonly FileRow[]
}

/** Describes a received file, and makes a thumbnail of an image. */
export async function describeFile(
  files: FileStore,
  channel: Channel,
  { token, byteSize, head }: ReceivedFile,
  name: string,
  type: string | undefined,
): Promise<DescribedFile> {
  const fileName = plainFileName(name)
  const contentType = plainContentType(type)
  const image = contentType.startsWith('image/') ? imageDimensions(head) : undefined
  const thumbnail = image && (await makeThumbnail(files.receivedPath(token), contentType))
  const smaller = thumbnail && (await files.receive(Readable.from([thumbnail.bytes]), thumbnail.bytes.length))
  const row = { channel_id: channel.channel_id, file_name: fileName, created_at: Date.now() }
  const folder = `${folderOf(channel)}/${token}`
  const shown = encodeURIComponent(fileName)
  return {
    rows: [
      ...(thumbnail === undefined || smaller === undefined
        ? []
        : [
            {
              ...row,
              token: smaller.token,
              content_type: thumbnail.contentType,
              file_size: smaller.byteSize,
              thumbnail: null,
            },
          ]),
      { ...row, token, content_type: contentType, file_size: byteSize, thumbnail: smaller?.token ?? null },
    ],
    attachment: {
      content_type: contentType,
      file_name: fileName,
      file_size: byteSize,
      path: `${folder}/${shown}`,
      ...(image === undefined ? {} : { image }),
      ...(thumbnail === undefined
        ? {}
        : {
            thumbnail: { path: `${folder}/thumb/${shown}`, width: thumbnail.width, height: thumbnail.height },
          }),
    },
  }
}

/**
 * Sends a message with its files. The files are in their final place before the message is committed, so no message names a
 * missing file. They are removed again when the message is refused, or repeats a stored one. After a failure that does not say
 * whether the message was stored, the files stay; `check` finds those that no message names.
 *
 * @param rows the files of the message
 * @param send stores the message
 */
export async function sendWithFiles<Sent extends { readonly isRepeat: boolean }>(
  files: FileStore,
  rows: readonly FileRow[] = [],
  send: () => Promise<Sent>,
): Promise<Sent> {
  // What cannot be removed either is found by `check`.
  const removeAll = () => Promise.allSettled(rows.map(({ token }) => files.remove(token)))
  try {
    for (const { token } of rows) await files.keep(token)
  } catch (error) {
    await removeAll()
    throw error
  }
  try {
    const sent = await send()
    if (sent.isRepeat) await removeAll()
    return sent
  } catch (error) {
    if (storageError(error)?.status !== 503) await removeAll()
    throw error
  }
}

/** [flowdock] files.md: files of private conversations have a path of their own. */
function folderOf(channel: Channel): string {
  if ('id' in channel) return `/files/${channel.channel_id}`
  return `/private/${channel.low_user_id}/${channel.high_user_id}/files`
}
