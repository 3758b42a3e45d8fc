import { pipeline } from 'node:stream/promises'
import type { FileStore } from '../../files.ts'
import { accessDenied, notFound } from '../../http-error.ts'
import type { Answer, Request, Route } from '../../router.ts'
import { findConversation } from '../../store/conversations.ts'
import { type FileRow, findFile } from '../../store/files.ts'
import { listFlows } from '../../store/flows.ts'
import { idSegment, segment } from './access.ts'

/** Types a browser shows without running anything. */
const inertTypes = /^(image\/(png|jpeg|gif|webp)|text\/plain|audio\/[\w.+-]+|video\/[\w.+-]+)$/

/** [flowdock] files.md: one redirect to a short-lived address that needs no credential. */
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
    async handle(request, { store, files }) {
      const token = segment(request, 'token')
      if (!files.verify(token, request.query)) throw accessDenied()
      const file = await findFile(store.reader, token)
      if (file === undefined) throw notFound()
      return {
        async write(response) {
          const disposition = inertTypes.test(file.content_type) ? 'inline' : 'attachment'
          response.writeHead(200, {
            'Content-Type': file.content_type,
            'Content-Length': file.file_size,
            'Content-Disposition': `${disposition}; filename*=UTF-8''${encodeURIComponent(file.file_name)}`,
            'X-Content-Type-Options': 'nosniff',
            'Cache-Control': 'private, no-store',
          })
          // A reader who leaves half-way is no failure of ours.
          await pipeline(files.read(token), response).catch(() => response.destroy())
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
