import { boundedText } from '../../bounds.ts'
import { HttpError, invalid, notFound, unauthorized } from '../../http-error.ts'
import type { Answer, Backend, Request, Route, UserRequest } from '../../router.ts'
import type { Database } from '../../store/db.ts'
import { type FlowRow, findFlow, findFlowAccess } from '../../store/flows.ts'
import { findSourceByTokenHash, type SourceRow } from '../../store/sources.ts'
import { findThreads } from '../../store/threads.ts'
import { hashToken } from '../auth.ts'
import { withBase } from '../encode.ts'
import { sendWithFiles } from '../message-files.ts'
import { sendMessage } from '../messages.ts'
import { activityEvent } from '../presence.ts'
import { checkVisible, checkWritable, idSegment, joinedFlow, segment } from './access.ts'
import {
  type ChannelAccess,
  decodeDraft,
  deleteAnswer,
  editAnswer,
  listAnswer,
  reactAnswer,
  readAnswer,
  sendAnswer,
  showAnswer,
} from './channel-messages.ts'

/** What a user may send, and what the holder of a flow token may. [flowdock] messages.md, "Send a Message" */
const userEvents = ['message', 'comment', 'status', 'line', 'file']
const sourceEvents = ['activity', 'discussion', 'message', 'file']

/** [flowdock] messages.md */
export const messageRoutes: readonly Route[] = [
  {
    method: 'POST',
    pattern: '/messages',
    auth: 'any',
    takesFlowToken: true,
    async handle(request, backend) {
      const flowToken = request.params.string('flow_token')
      if (flowToken !== undefined) return sendFromSource(request, backend, flowToken)
      const { caller } = request
      if (caller === undefined) throw unauthorized()
      return sendAnswer(caller, backend, writable(caller, await namedFlow(caller, backend)), userEvents)
    },
  },
  {
    method: 'POST',
    pattern: '/comments',
    auth: 'user',
    handle: async (request, backend) =>
      sendAnswer(request, backend, writable(request, await namedFlow(request, backend)), userEvents, {
        event: 'comment',
      }),
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/messages',
    auth: 'user',
    handle: async (request, backend) => listAnswer(request, backend, await joinedFlow(request, backend)),
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/messages',
    auth: 'user',
    handle: async (request, backend) =>
      sendAnswer(request, backend, writable(request, await joinedFlow(request, backend)), userEvents),
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/messages/:message/comments',
    auth: 'user',
    handle: async (request, backend) =>
      sendAnswer(request, backend, writable(request, await joinedFlow(request, backend)), userEvents, {
        event: 'comment',
        parentId: idSegment(request, 'message'),
      }),
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/messages/:message',
    auth: 'user',
    handle: async (request, backend) =>
      showAnswer(request, backend, await joinedFlow(request, backend), idSegment(request, 'message')),
  },
  {
    method: 'PUT',
    pattern: '/flows/:organization/:flow/messages/:message',
    auth: 'user',
    handle: async (request, backend) =>
      editAnswer(
        request,
        backend,
        writable(request, await joinedFlow(request, backend)),
        idSegment(request, 'message'),
      ),
  },
  {
    method: 'DELETE',
    pattern: '/flows/:organization/:flow/messages/:message',
    auth: 'user',
    handle: async (request, backend) =>
      deleteAnswer(
        request,
        backend,
        writable(request, await joinedFlow(request, backend)),
        idSegment(request, 'message'),
      ),
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/messages/:message/emoji_reaction',
    auth: 'user',
    handle: async (request, backend) =>
      reactAnswer(
        request,
        backend,
        writable(request, await joinedFlow(request, backend)),
        idSegment(request, 'message'),
      ),
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/read',
    auth: 'user',
    handle: async (request, backend) =>
      readAnswer(request, backend, writable(request, await joinedFlow(request, backend))),
  },
  {
    // An extension: only the service's own apps could say this.
    method: 'POST',
    pattern: '/flows/:organization/:flow/typing',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const threadId = boundedText(request.params, 'thread_id', 'thread_id')
      const content = {
        last_activity: Date.now(),
        typing: true,
        ...(threadId === undefined ? {} : { thread_id: threadId }),
      }
      const payload = activityEvent({ flow: flow.id }, flow.last_message_id ?? 0, request.user.id, content)
      backend.traffic.countTyping(request.principal, JSON.stringify(payload).length)
      backend.presence.tell({ flowIds: [flow.id], isPresence: false, payload })
      return { status: 200, body: {} }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/threads/:thread/messages',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const threadId = segment(request, 'thread')
      const [thread] = await findThreads(backend.store.reader, [threadId])
      if (thread === undefined || thread.channel_id !== flow.channel_id) throw notFound()
      return listAnswer(request, backend, flow, threadId)
    },
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/threads/:thread/messages',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const threadId = segment(request, 'thread')
      const [thread] = await findThreads(backend.store.reader, [threadId])
      if (thread === undefined || thread.channel_id !== flow.channel_id) throw notFound()
      return sendAnswer(request, backend, writable(request, flow), userEvents, { threadId })
    },
  },
]

/** A flow the caller may write to, as far as can be told before the transaction. */
function writable({ user }: UserRequest, flow: FlowRow): ChannelAccess {
  return { channel: flow, check: (db) => checkWritable(db, user.id, flow.id) }
}

/** [flowdock] production-integrations.md: 202 without a body of use, unless the caller asks to wait. */
async function sendFromSource(request: Request, backend: Backend, flowToken: string): Promise<Answer> {
  const source = await activeSource(backend.store.reader, flowToken)
  const flow = await findFlow(backend.store.reader, 0, { id: source.flow_id })
  if (flow === undefined || flow.disabled === 1) throw notFound()
  const draft = await decodeDraft(request.params, backend, flow, sourceEvents)
  if (draft.threadId === undefined && draft.externalThreadId === undefined)
    throw invalid({ external_thread_id: ["can't be blank"] })
  const sent = await sendWithFiles(backend.files, draft, () =>
    backend.log.write(async (change) => {
      const current = await activeSource(change.db, flowToken)
      if ((await findFlowAccess(change.db, 0, flow.id))?.disabled !== 0) throw notFound()
      return sendMessage(change, flow, { userId: 0, source: current }, draft)
    }),
  )
  // The parameter is an extension for whoever cannot set headers.
  const waits =
    request.headers['x-flowdock-wait-for-message'] !== undefined || request.params.boolean('wait') === true
  if (!waits) return { status: 202, body: {} }
  return { status: 201, json: withBase(sent.json, request.base) }
}

/** @throws 404 for a token that never was, 410 for that of a removed source */
export async function activeSource(db: Database, flowToken: string): Promise<SourceRow> {
  const source = await findSourceByTokenHash(db, hashToken(flowToken))
  if (source === undefined) throw notFound()
  if (source.deleted_at !== null) throw new HttpError(410, { message: 'The source was removed' })
  return source
}

/** The flow that the `flow` parameter names by id or as "org/flow". */
async function namedFlow(request: UserRequest, { store }: Backend): Promise<FlowRow> {
  const name = request.params.string('flow')
  if (name === undefined || name === '') throw invalid({ flow: ["can't be blank"] })
  const [organization, slug] = name.split('/')
  const by = organization !== undefined && slug !== undefined ? { organization, slug } : { id: name }
  return checkVisible(await findFlow(store.reader, request.user.id, by))
}
