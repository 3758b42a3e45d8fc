import type { FlowEvent, Message, MessageContent, Thread } from './model.ts'

/* Recent events are delivered again to subscribers that resume, without the text that was deleted since. */

/** For the deletion of a message: a function that removes its text from an earlier event. Undefined for other events. */
export function deletionOf(event: FlowEvent): ((earlier: FlowEvent) => FlowEvent) | undefined {
  if (event.type !== 'message') return undefined
  const { message } = event
  const isDeletion =
    message.kind === 'MessageDelete' || (message.kind === 'MessageEdit' && message.content === '')
  if (!isDeletion) return undefined
  const { channel } = message
  return (earlier) => {
    if (earlier.type !== 'message' || earlier.message.channel !== channel) return earlier
    const redacted = redact(earlier.message, message.messageId)
    return redacted === earlier.message ? earlier : { ...earlier, message: redacted }
  }
}

function redact(message: Message, deleted: number): Message {
  const isChange = message.kind === 'MessageEdit' || message.kind === 'TagChange'
  if (message.id === deleted || (isChange && message.messageId === deleted))
    return {
      ...message,
      tags: message.tags.filter((tag) => tag.startsWith('influx:')),
      attachments: [],
      reactions: [],
      thread: message.thread && redactThread(message.thread, deleted),
      ...withoutText(message),
    }
  const isComment = message.kind === 'Comment' && message.parentId === deleted
  const thread = message.thread && redactThread(message.thread, deleted)
  if (!isComment && thread === message.thread) return message
  return isComment ? { ...message, thread, title: '' } : { ...message, thread }
}

/** The title of a thread of users is the text of its first message. */
function redactThread(thread: Thread, deleted: number): Thread {
  return thread.initialMessageId === deleted && thread.source === null ? { ...thread, title: '' } : thread
}

function withoutText(message: Message): MessageContent {
  switch (message.kind) {
    case 'ChatMessage':
      return { kind: 'ChatMessage', content: '' }
    case 'Comment':
      return { kind: 'Comment', content: '', title: message.title, parentId: message.parentId }
    case 'MessageEdit':
      return { kind: 'MessageEdit', messageId: message.messageId, content: '' }
    case 'TagChange':
      return { kind: 'TagChange', messageId: message.messageId, added: [], removed: [] }
    case 'FileMessage': {
      const nothing = {
        name: '',
        path: '',
        byteSize: 0,
        contentId: null,
        width: null,
        height: null,
        thumbnail: null,
      }
      return { kind: 'FileMessage', file: { ...nothing, contentType: 'application/octet-stream' } }
    }
    case 'Activity':
    case 'Discussion':
      return { kind: message.kind, title: '', body: null }
    default:
      return { kind: 'UnknownMessage', raw: {} }
  }
}
