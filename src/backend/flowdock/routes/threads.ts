import { invalid, notFound } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import { findSources } from '../../store/sources.ts'
import { findThread, listThreads, type ThreadPosition, type ThreadRow } from '../../store/threads.ts'
import { encodeThread, toIso } from '../encode.ts'
import { decodeThreadState } from '../message-draft.ts'
import { createThread } from '../operations/threads.ts'
import type { Route } from '../route.ts'
import { checkWritable, isoTime, joinedFlow, pathOf, segment } from './access.ts'

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
      const after = threadPosition(params)
      const application = params.string('application')
      const rows = await listThreads(store.reader, flow.channel_id, {
        limit: limit + 1,
        empty: params.boolean('empty') ?? false,
        since,
        until,
        after,
        application,
      })
      const page = rows.slice(0, limit)
      const ids = page.map(({ source_id }) => source_id).filter((id) => id !== null)
      const sources = new Map((await findSources(store.reader, ids)).map((source) => [source.id, source]))
      const body = page.map((row) =>
        encodeThread(row, flow.id, row.source_id === null ? undefined : sources.get(row.source_id), base),
      )
      const last = page.at(-1)
      if (rows.length <= limit || last === undefined) return { status: 200, body }
      const next = `${base}/flows/${pathOf(flow)}/threads?${nextPage(params, last)}`
      return { status: 200, body, headers: { Link: `<${next}>; rel="next"` } }
    },
  },
  {
    // An extension: the service created a thread only with its first message.
    method: 'POST',
    pattern: '/flows/:organization/:flow/threads',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const state = decodeThreadState(request.params)
      if (state?.title === undefined || state.title.trim() === '')
        throw invalid({ title: ["can't be blank"] })
      const thread = await backend.log.write(async (change) => {
        await checkWritable(change.db, request.user.id, flow.id)
        return createThread(change, flow, state)
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

/** The position that `after` names: a time in milliseconds, a comma, a thread id. @throws 400 for anything else */
function threadPosition(params: Params): ThreadPosition | undefined {
  const text = params.string('after')
  if (text === undefined || text === '') return undefined
  const [, updatedAt, id] = /^(\d{1,19}),([\w-]{1,100})$/.exec(text) ?? []
  if (updatedAt === undefined || id === undefined)
    throw invalid({ after: ['must be a time in milliseconds, a comma and the id of a thread'] })
  return { updatedAt: Number(updatedAt), id }
}

/**
 * The query of the page after `last`. [flowdock] threads.md pages by `until` alone, which is exclusive: threads with the time of
 * the last one would be left out. `after`, an extension, says which of them follow. `until` includes them, for clients that use
 * only `until` of the link.
 */
function nextPage(params: Params, { updated_at, id }: ThreadRow): URLSearchParams {
  const next = new URLSearchParams({
    until: toIso(updated_at + 1),
    after: `${updated_at},${id}`,
  })
  for (const name of ['limit', 'since', 'application', 'empty']) {
    const value = params.string(name)
    if (value !== undefined && value !== '') next.set(name, value)
  }
  return next
}
