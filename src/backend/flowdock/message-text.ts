import type { MessageRow } from '../store/messages.ts'
import { integrationText, isIntegrationEvent } from './integration-events.ts'

/** Whether messages with this event are shown in the team inbox. */
export function isInbox(event: string): boolean {
  return event === 'activity' || event === 'discussion' || event === 'mail' || isIntegrationEvent(event)
}

/** The text of a message that a user reads. Tags are read from it, and searches read it. */
export function messageText(
  event: string,
  { content, title, body }: { content: unknown; title?: string | undefined; body?: string | undefined },
) {
  if (event === 'mail') return `${mailPart(content, 'subject')}\n${mailPart(content, 'content')}`
  if (isIntegrationEvent(event)) return integrationText(event, content)
  if (isInbox(event)) return [title, body].filter((part) => part !== undefined).join('\n')
  if (typeof content === 'string') return content
  return isFileContent(content) ? content.file_name : ''
}

/** The same for a stored message. */
export function storedText(message: MessageRow): string {
  const content: unknown = JSON.parse(message.content_json)
  const { title, body } = message
  if (message.event === 'comment' && typeof content === 'object' && content !== null && 'text' in content)
    return String(content.text)
  return messageText(message.event, { content, title: title ?? undefined, body: body ?? undefined })
}

/** The subject or the text of an e-mail; blank for any other content. */
export function mailPart(content: unknown, part: 'subject' | 'content'): string {
  return typeof content === 'object' && content !== null && part in content
    ? String((content as Record<string, unknown>)[part])
    : ''
}

/** The content of a message with another text. */
export function withText(message: MessageRow, text: string): unknown {
  return message.event === 'comment' ? { ...JSON.parse(message.content_json), text } : text
}

/** An edit without its text, which for a comment is `{ title, text }`. */
export function withoutText(content: { updated_content: unknown }) {
  const { updated_content: updated } = content
  return { ...content, updated_content: typeof updated === 'object' ? { title: '', text: '' } : '' }
}

function isFileContent(content: unknown): content is { file_name: string } {
  return typeof content === 'object' && content !== null && 'file_name' in content
}
