import { invalid, notFound } from '../../http-error.ts'
import type { Route } from '../../router.ts'
import { findSources } from '../../store/sources.ts'
import { findThread, listThreads } from '../../store/threads.ts'
import { encodeThread } from '../encode.ts'
import { createThread } from '../messages.ts'
import { checkWritable, isoTime, joinedFlow, segment } from './access.ts'
import { decodeThreadState } from './channel-messages.ts'

/** [flowdock] threads.md */
export const threadRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/threads',
    auth: 'user',
    async handle(request, backend) {
      const { params, base } = request
      const { store } = backend
      const flow = await joinedFlow(request, backend)
      const limit = Math.min(Math.max(params.integer('limit') ?? 30, 1), 100)
      const since = isoTime(params, 'since')
      const until = isoTime(params, 'until')
      const application = params.string('application')
      const rows = await listThreads(store.reader, flow.channel_id, {
        limit: limit + 1,
        empty: params.boolean('empty') ?? false,
        ...(since === undefined ? {} : { since }),
        ...(until === undefined ? {} : { until }),
        ...(application === undefined ? {} : { application }),
      })
      const page = rows.slice(0, limit)
      const ids = page.map(({ source_id }) => source_id).filter((id) => id !== null)
      const sources = new Map((await findSources(store.reader, ids)).map((source) => [source.id, source]))
      const body = page.map((row) =>
        encodeThread(row, flow.id, row.source_id === null ? undefined : sources.get(row.source_id), base),
      )
      const last = body.at(-1)
      if (rows.length <= limit || last === undefined) return { status: 200, body }
      const next = `${base}/flows/${flow.organization_slug}/${flow.slug}/threads?until=${encodeURIComponent(last.updated_at)}`
      return { status: 200, body, headers: { Link: `<${next}>; rel="next"` } }
    },
  },
  {
    // An extension: at the service a thread came with its first message only.
    method: 'POST',
    pattern: '/flows/:organization/:flow/threads',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const state = decodeThreadState(request.params)
      if (state?.title === undefined || state.title.trim() === '')
        throw invalid({ title: ["can't be blank"] })
      const thread = await backend.log.write(async ({ db }) => {
        await checkWritable(db, request.user.id, flow.id)
        return createThread(db, flow, state)
      })
      return { status: 201, body: encodeThread(thread, flow.id, undefined, request.base) }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/threads/:thread',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const thread = await findThread(backend.store.reader, segment(request, 'thread'))
      if (thread === undefined || thread.channel_id !== flow.channel_id) throw notFound()
      const [source] =
        thread.source_id === null ? [] : await findSources(backend.store.reader, [thread.source_id])
      return { status: 200, body: encodeThread(thread, flow.id, source, request.base) }
    },
  },
]
