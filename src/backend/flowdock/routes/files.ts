import { pipeline } from 'node:stream/promises'
import { create as createContentDisposition } from 'content-disposition'
import { FileMissingError, FileStorageError, type FileStore } from '../../files.ts'
import { accessDenied, notFound } from '../../http/errors.ts'
import { findConversation } from '../../store/conversations.ts'
import { type FileRow, findFile } from '../../store/files.ts'
import { listFlows } from '../../store/flows.ts'
import { plainContentType } from '../file-description.ts'
import type { Answer, Request, Route } from '../route.ts'
import { idSegment, joinedFlow, segment } from './access.ts'

/** Media types that browsers show and that contain no scripts. */
const inertTypes = /^(image\/(png|jpeg|gif|webp)|text\/plain|audio\/[\w.+-]+|video\/[\w.+-]+)$/

/** [flowdock] files.md: one redirect to a short-lived URL that needs no credential. */
export const fileRoutes: readonly Route[] = [
  ...['', '/thumb'].map(
    (size): Route => ({
      method: 'GET',
      pattern: `/files/:channel/:token${size}/:name`,
      auth: 'user',
      scopes: ['flow'],
      async handle(request, { store, files }) {
        const file = await findFile(store.reader, segment(request, 'token'))
        if (file === undefined || file.channel_id !== idSegment(request, 'channel')) throw notFound()
        const flows = await listFlows(store.reader, request.user.id, 'joined')
        if (!flows.some(({ channel_id }) => channel_id === file.channel_id)) throw notFound()
        return redirect(request, files, file, size)
      },
    }),
  ),
  // [flowdock] messages.md: the path of a flow's files until 2012, which old messages and clients still use.
  ...['', '/thumb'].map(
    (size): Route => ({
      method: 'GET',
      pattern: `/flows/:organization/:flow/files/:token${size}/:name`,
      auth: 'user',
      scopes: ['flow'],
      async handle(request, backend) {
        const flow = await joinedFlow(request, backend)
        const file = await findFile(backend.store.reader, segment(request, 'token'))
        if (file === undefined || file.channel_id !== flow.channel_id) throw notFound()
        return redirect(request, backend.files, file, size)
      },
    }),
  ),
  ...['', '/thumb'].map(
    (size): Route => ({
      method: 'GET',
      pattern: `/private/:one/:other/files/:token${size}/:name`,
      auth: 'user',
      scopes: ['private'],
      async handle(request, { store, files }) {
        const file = await findFile(store.reader, segment(request, 'token'))
        const both = [idSegment(request, 'one'), idSegment(request, 'other')] as const
        const conversation = await findConversation(store.reader, ...both)
        if (file === undefined || file.channel_id !== conversation?.channel_id) throw notFound()
        if (!both.includes(request.user.id)) throw notFound()
        return redirect(request, files, file, size)
      },
    }),
  ),
  {
    method: 'GET',
    pattern: '/storage/:token',
    auth: 'any',
    async holder({ path, query }, { files }) {
      const { token = '' } = path
      return files.verify(token, query) ? `storage:${token}` : undefined
    },
    async handle(request, { store, files, onError }) {
      const token = segment(request, 'token')
      if (!files.verify(token, request.query)) throw accessDenied()
      const file = await findFile(store.reader, token)
      if (file === undefined) throw notFound()
      return {
        async write(response) {
          const disposition = inertTypes.test(file.content_type) ? 'inline' : 'attachment'
          const range = parseRange(request.headers.range, file.file_size)
          const [start, end] =
            range === 'unsatisfiable' || range === undefined ? [0, file.file_size - 1] : range
          const isRead = range !== 'unsatisfiable' && file.file_size > 0 && response.req.method !== 'HEAD'
          // Before the headers: a storage that fails is still answered with an error then.
          const bytes = isRead
            ? await files.open(token, { start, end }).catch((error: unknown) => {
                if (!(error instanceof FileMissingError)) throw error
                onError(error)
                throw notFound()
              })
            : undefined
          response.writeHead(range === undefined ? 200 : range === 'unsatisfiable' ? 416 : 206, {
            'Content-Type': plainContentType(file.content_type),
            'Content-Length': range === 'unsatisfiable' ? 0 : end - start + 1,
            'Content-Disposition': contentDisposition(file.file_name, disposition),
            'Accept-Ranges': 'bytes',
            // The storage of the service sent this header. The name is encoded, because a header allows ASCII only.
            'X-Amz-Meta-Name': encodeURIComponent(file.file_name.toWellFormed()),
            'X-Content-Type-Options': 'nosniff',
            'Cache-Control': 'private, no-store',
            ...(range === undefined ? {} : { 'Content-Range': contentRange(range, file.file_size) }),
          })
          if (bytes === undefined) {
            response.end()
            return
          }
          await pipeline(whole(bytes, end - start + 1, token), response).catch((error: unknown) => {
            // A client that leaves during a download is not an error.
            if (error instanceof FileStorageError) onError(error)
            response.destroy()
          })
        },
      }
    },
  },
]

function redirect({ base }: Request, files: FileStore, file: FileRow, size: string): Answer {
  const token = size === '' ? file.token : file.thumbnail
  if (token === null) throw notFound()
  const location = `${base}/storage/${token}?${files.sign(token)}`
  return { status: 302, headers: { Location: location, 'Content-Length': '0' } }
}

/** [spec] RFC 6266, RFC 8187: the name in ASCII for old clients, and the whole name for others. */
function contentDisposition(fileName: string, type: string): string {
  return createContentDisposition(fileName.toWellFormed(), { type })
}

type Range = readonly [start: number, end: number] | 'unsatisfiable' | undefined

/** One range of bytes, both ends inclusive; undefined for the whole file. [spec] RFC 9110, 14.2 */
function parseRange(header: string | undefined, size: number): Range {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  if (first === '' && last === '') return undefined
  const start = first === '' ? Math.max(size - Number(last), 0) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return start > end || start >= size ? 'unsatisfiable' : [start, end]
}

function contentRange(range: Exclude<Range, undefined>, size: number): string {
  return range === 'unsatisfiable' ? `bytes */${size}` : `bytes ${range[0]}-${range[1]}/${size}`
}

/** Fails when the bytes end too early. Otherwise the client would wait for the rest, because the connection stays open. */
async function* whole(
  bytes: AsyncIterable<Uint8Array>,
  length: number,
  token: string,
): AsyncGenerator<Uint8Array> {
  let read = 0
  for await (const chunk of bytes) {
    read += chunk.length
    yield chunk
  }
  if (read !== length)
    throw new FileStorageError(`The file ${token} has ${read} bytes where ${length} were expected`)
}
