import { boundedText } from '../../bounds.ts'
import { invalid, notFound, unauthorized } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import { type FlowRow, findFlow } from '../../store/flows.ts'
import { findMessage, isContent } from '../../store/messages.ts'
import { findThreads } from '../../store/threads.ts'
import { sendWithFiles } from '../attachments.ts'
import type { FlowChannel } from '../channel.ts'
import { withBase } from '../encode.ts'
import { decodeDraft, type MessageDraft } from '../message-draft.ts'
import { sendMessage } from '../operations/messages.ts'
import { activityEvent } from '../presence.ts'
import type { Answer, Backend, Request, Route, UserRequest } from '../route.ts'
import {
  checkVisible,
  checkWritable,
  type FlowNames,
  findFlowByName,
  idSegment,
  joinedFlow,
  pathOf,
  segment,
} from './access.ts'
import {
  type ChannelAccess,
  commentsLink,
  deleteAnswer,
  editAnswer,
  listAnswer,
  reactAnswer,
  readAnswer,
  sendAnswer,
  showAnswer,
  waitsForMessage,
} from './channel-messages.ts'
import { activeSource } from './source-token.ts'

/** The events that a user may send, and those that a flow token may. [flowdock] messages.md, "Send a Message" */
const userEvents = ['message', 'comment', 'status', 'line', 'file', 'mail']
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
      const { userRequest } = request
      if (userRequest === undefined) throw unauthorized()
      return sendAnswer(
        userRequest,
        backend,
        writable(userRequest, await namedFlow(userRequest, backend)),
        userEvents,
      )
    },
  },
  {
    // The URL of integrations until 2014. They sent the flow token as `token`, and their own key as `thread_id`.
    method: 'POST',
    pattern: '/activities',
    auth: 'any',
    takesFlowToken: true,
    async handle(request, backend) {
      const flowToken = request.params.string('flow_token') ?? request.params.string('token')
      if (flowToken === undefined) throw invalid({ flow_token: ["can't be blank"] })
      return sendFromSource(request, backend, flowToken, true)
    },
  },
  {
    method: 'POST',
    pattern: '/comments',
    auth: 'user',
    handle: async (request, backend) =>
      sendAnswer(request, backend, writable(request, await namedFlow(request, backend)), userEvents, {
        event: commentEvent(request.params),
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
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const parentId = idSegment(request, 'message')
      const parent = await findMessage(backend.store.reader, flow.channel_id, parentId)
      if (parent === undefined || !isContent(parent)) throw notFound()
      const event = commentEvent(request.params)
      return sendAnswer(request, backend, writable(request, flow), userEvents, { event, parentId })
    },
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
    // An extension: only the service's own apps could do this.
    method: 'POST',
    pattern: '/flows/:organization/:flow/typing',
    auth: 'user',
    async handle(request, backend) {
      const { id } = await joinedFlow(request, backend)
      const lastMessage = (await findFlow(backend.store.reader, { id }))?.last_message_id ?? 0
      const threadId = boundedText(request.params, 'thread_id', 'thread_id')
      const content = {
        last_activity: Date.now(),
        typing: true,
        ...(threadId === undefined ? {} : { thread_id: threadId }),
      }
      const payload = activityEvent({ flow: id }, lastMessage, request.user.id, content)
      backend.traffic.countTyping(request.principal, JSON.stringify(payload).length)
      backend.presence.publish({ flowIds: [id], isPresence: false, payload })
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

/** [flowdock] files.md: a file may be posted like a comment, and belongs to the thread of the message. */
function commentEvent(params: Params): 'comment' | 'file' {
  return params.string('event') === 'file' || params.file('content') !== undefined ? 'file' : 'comment'
}

/** A flow to write to, with the check for the transaction that writes. */
function writable({ user }: UserRequest, flow: FlowChannel & FlowNames): ChannelAccess {
  return { channel: flow, check: (db) => checkWritable(db, user.id, flow.id), path: pathOf(flow) }
}

/** [flowdock] production-integrations.md: 202 with an empty object, unless the request says that it waits for the message. */
async function sendFromSource(
  request: Request,
  backend: Backend,
  flowToken: string,
  isActivity = false,
): Promise<Answer> {
  const source = await activeSource(backend.store.reader, flowToken)
  const flow = await findFlow(backend.store.reader, { id: source.flow_id })
  if (flow === undefined || flow.disabled === 1) throw notFound()
  const draft = isActivity
    ? withOwnThread(await decodeDraft(request.params, backend.files, flow, sourceEvents, 'activity'))
    : await decodeDraft(request.params, backend.files, flow, sourceEvents)
  // [flowdock] messages.md: a chat message or a file may open a thread of its own
  const isChat = draft.event === 'message' || draft.event === 'file'
  if (!isChat && draft.threadId === undefined && draft.externalThreadId === undefined)
    throw invalid({ external_thread_id: ["can't be blank"] })
  const sent = await sendWithFiles(backend.files, draft.files, () =>
    backend.log.write(async (change) => {
      const current = await activeSource(change.db, flowToken)
      if ((await findFlow(change.db, { id: flow.id }))?.disabled !== 0) throw notFound()
      return sendMessage(change, flow, { userId: 0, source: current }, draft)
    }, flow),
  )
  // The parameter is an extension, for programs that cannot set headers.
  const waits = waitsForMessage(request) || request.params.boolean('wait') === true
  if (!waits) return { status: 202, body: {} }
  return {
    status: 201,
    json: withBase(sent.json, request.base),
    headers: commentsLink(request, pathOf(flow), sent),
  }
}

/** A draft whose thread id is the integration's own key. */
function withOwnThread({ threadId, ...draft }: MessageDraft): MessageDraft {
  return threadId === undefined ? draft : { ...draft, externalThreadId: draft.externalThreadId ?? threadId }
}

/** The flow that the `flow` parameter names. */
async function namedFlow(request: UserRequest, { store }: Backend): Promise<FlowRow> {
  const name = request.params.string('flow')
  if (name === undefined) throw invalid({ flow: ["can't be blank"] })
  return checkVisible(await findFlowByName(store.reader, request.user.id, name))
}
