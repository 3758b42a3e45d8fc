import { invalid } from './http/errors.ts'
import type { Params } from './http/params.ts'

/*
 * The largest sizes of stored data. Every writer uses this table: the REST API (and with it the gateway), the push API, commands
 * and imports. One text without a bound would make the lists and streams of all members of a flow unreadable.
 */

/** The most characters of each text, in UTF-16 code units. */
export const maxCharacters = {
  /** [flowdock] messages.md: of a chat message, and of the text of a comment */
  content: 8096,
  /** Of an inbox message, a mail or a thread. The title of a chat thread is the text of its first message. */
  title: 8096,
  body: 50_000,
  tag: 128,
  /** Of users, flows, organizations, sources and applications. */
  name: 100,
  author: 200,
  nick: 50,
  /** [spec] RFC 5321, 4.5.3.1.3: a path is 256 octets, its angle brackets included. */
  email: 254,
  url: 2000,
  description: 5000,
  error_message: 2000,
  external_user_name: 100,
  external_thread_id: 1000,
  /** Ids of this server have 27. */
  thread_id: 64,
  uuid: 100,
  event: 100,
  emoji: 64,
  status: 200,
  label: 200,
  value: 2000,
  file_name: 255,
  /** [spec] RFC 6838, 4.2: 127 for each of its two parts */
  content_type: 255,
  content_id: 100,
} as const

export type BoundedText = keyof typeof maxCharacters

/** The most entries of each list. */
export const maxEntries = {
  /** Tags of a message, without its unread marks. */
  tags: 100,
  /** Users for whom a message is marked as unread. A mention of everyone in a larger flow marks the first ones. */
  unread: 1000,
  fields: 50,
  actions: 20,
  /** Different emoji on a message. */
  emoji: 50,
  /** Reactions of all users to a message. */
  reactions: 500,
} as const

/**
 * The most bytes of objects as JSON. A page of 100 messages, each with the largest thread, reactions and source, stays below the
 * 16 MiB that the gateway reads of one response.
 */
export const maxBytes = {
  /** A message without its thread and reactions. */
  message: 64 * 1024,
  /** A thread without its source. */
  thread: 48 * 1024,
  /** The reactions to a message; the bounds on their number keep them below this. */
  reactions: 24 * 1024,
  /** An event of a stream: a message with everything. */
  event: 256 * 1024,
} as const

/** The largest id that an import may bring: paths allow 15 digits, and later ids follow the largest one. */
export const maxImportedId = 1e14

/** The first and the last time that an import may bring. */
const earliest = Date.UTC(1970, 0)
const latest = Date.UTC(2100, 0)

export function isSensibleTime(ms: number): boolean {
  return ms >= earliest && ms < latest
}

/** What is wrong with the length of a text; undefined if it fits. */
export function lengthProblem(field: BoundedText, text: string): string | undefined {
  const most = maxCharacters[field]
  return text.length > most ? `is too long: ${text.length} characters, at most ${most} are stored` : undefined
}

/**
 * A parameter as text that fits. Half of a surrogate pair is replaced, because headers and URLs cannot hold it.
 *
 * @throws 400 when it is longer than the bound, or not text
 */
export function boundedText(
  params: Params,
  name: string,
  field: BoundedText,
  shownAs: string = name,
): string | undefined {
  const text = params.string(name)?.toWellFormed()
  const problem = text === undefined ? undefined : lengthProblem(field, text)
  if (problem !== undefined) throw invalid({ [shownAs]: [shownAs === name ? problem : `${name} ${problem}`] })
  return text
}

/** Tags as they were sent. @throws 400 when there are too many, or one is too long */
export function boundedTags(params: Params): string[] | undefined {
  const tags = params.list('tags')?.map((tag) => tag.toWellFormed())
  if (tags === undefined) return undefined
  const problem = tagsProblem(tags)
  if (problem !== undefined) throw invalid({ tags: [problem] })
  return tags
}

const unreadMark = /^:unread:\d{1,15}$/

export function isUnreadMark(tag: string): boolean {
  return unreadMark.test(tag)
}

/**
 * What is wrong with the new tags of a message; undefined if they are valid.
 *
 * @param before its present tags: too many tags that an earlier version stored may become fewer
 */
export function tagsProblem(tags: readonly string[], before: readonly string[] = []): string | undefined {
  const known = new Set(before)
  const added = tags.filter((tag) => !known.has(tag))
  const long = added.find((tag) => lengthProblem('tag', tag) !== undefined)
  if (long !== undefined) return `has a tag that ${lengthProblem('tag', long)}`
  if (added.length === 0) return undefined
  const marks = tags.filter(isUnreadMark).length
  if (marks > maxEntries.unread)
    return `marks ${marks} people as not having read it, at most ${maxEntries.unread} are stored`
  const others = tags.length - marks
  return others > maxEntries.tags ? `has ${others} tags, at most ${maxEntries.tags} are stored` : undefined
}

/** The columns of a message whose content comes from clients. */
export interface MessageTexts {
  readonly content_json: string
  readonly tags_json: string
  readonly author_json: string | null
  readonly attachments_json: string
  readonly title: string | null
  readonly body: string | null
  readonly external_user_name: string | null
}

/** The columns of a thread whose content comes from clients. */
export interface ThreadTexts {
  readonly title: string
  readonly body: string | null
  readonly external_url: string | null
  readonly status_json: string | null
  readonly fields_json: string
  readonly actions_json: string
}

/** @throws 400 when the message as a whole is longer than the bound */
export function checkMessageSize(message: MessageTexts): void {
  if (messageCharacters(message) * maxCharacterBytes <= maxBytes.message) return
  const size = messageBytes(message)
  if (size > maxBytes.message)
    throw invalid({ message: [`is too long: ${size} bytes as JSON, at most ${maxBytes.message} are stored`] })
}

/** @throws 400 when the thread as a whole is longer than the bound */
export function checkThreadSize(thread: ThreadTexts): void {
  if (threadCharacters(thread) * maxCharacterBytes <= maxBytes.thread) return
  const size = threadBytes(thread)
  if (size > maxBytes.thread)
    throw invalid({ thread: [`is too long: ${size} bytes as JSON, at most ${maxBytes.thread} are stored`] })
}

/** The most bytes that a code unit takes in JSON. Counting bytes takes many times as long as counting code units. */
const maxCharacterBytes = 6
/** The quotes around three texts take the bytes of one code unit. */
const quotes = 1

function messageCharacters(message: MessageTexts): number {
  const { content_json, tags_json, author_json, attachments_json, title, body, external_user_name } = message
  return (
    quotes +
    content_json.length +
    tags_json.length +
    (author_json?.length ?? 0) +
    attachments_json.length +
    (title?.length ?? 0) +
    (body?.length ?? 0) +
    (external_user_name?.length ?? 0)
  )
}

function threadCharacters(thread: ThreadTexts): number {
  const { title, body, external_url, status_json, fields_json, actions_json } = thread
  return (
    quotes +
    title.length +
    (body?.length ?? 0) +
    (external_url?.length ?? 0) +
    (status_json?.length ?? 0) +
    fields_json.length +
    actions_json.length
  )
}

function messageBytes(message: MessageTexts): number {
  const { content_json, tags_json, author_json, attachments_json, title, body, external_user_name } = message
  return (
    bytesOf(content_json, tags_json, author_json, attachments_json) +
    textBytes(title, body, external_user_name)
  )
}

function threadBytes(thread: ThreadTexts): number {
  const { title, body, external_url, status_json, fields_json, actions_json } = thread
  return bytesOf(status_json, fields_json, actions_json) + textBytes(title, body, external_url)
}

function bytesOf(...jsons: (string | null)[]): number {
  return jsons.reduce((sum, json) => sum + (json === null ? 0 : Buffer.byteLength(json)), 0)
}

function textBytes(...texts: (string | null)[]): number {
  return bytesOf(...texts.map((text) => (text === null || text === '' ? null : JSON.stringify(text))))
}

/** The first characters of a text. A character of two code units is never split. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text
  const last = text.charCodeAt(most - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? most - 1 : most)
}

/**
 * The message itself if it fits. A message that an earlier version or an import stored may not fit: then its longest parts are
 * shortened.
 */
export function fitMessage<T extends MessageTexts>(message: T): T {
  if (messageCharacters(message) * maxCharacterBytes <= maxBytes.message) return message
  if (messageBytes(message) <= maxBytes.message) return message
  const { content_json, tags_json, author_json, attachments_json, title, body, external_user_name } = message
  return {
    ...message,
    content_json: fitJson(content_json, 20_000),
    tags_json: JSON.stringify(fitTags(JSON.parse(tags_json) as string[])),
    author_json: author_json === null ? null : fitJson(author_json, 2000),
    attachments_json: fitJson(attachments_json, 6000, '[]'),
    title: title && fitText(title, 4000),
    body: body && fitText(body, 20_000),
    external_user_name: external_user_name && cut(external_user_name, maxCharacters.external_user_name),
  }
}

/** A thread that fits, see `fitMessage`. */
export function fitThread<T extends ThreadTexts>(thread: T): T {
  if (threadCharacters(thread) * maxCharacterBytes <= maxBytes.thread) return thread
  if (threadBytes(thread) <= maxBytes.thread) return thread
  const { title, body, external_url, status_json, fields_json, actions_json } = thread
  return {
    ...thread,
    title: fitText(title, 8000),
    body: body && fitText(body, 12_000),
    // A shortened URL would lead elsewhere.
    external_url: external_url !== null && external_url.length > maxCharacters.url ? null : external_url,
    status_json: status_json === null ? null : fitJson(status_json, 2000),
    fields_json: fitJson(fields_json, 10_000, '[]'),
    actions_json: bytesOf(actions_json) > 8000 ? '[]' : actions_json,
  }
}

/** The reactions to a message that fit: the first emoji, and the first users of each. */
export function fitReactions(json: string): string {
  if (json.length <= maxBytes.reactions) return json
  let left: number = maxEntries.reactions
  const reactions = Object.entries(JSON.parse(json) as Record<string, string[]>)
    .filter(([emoji]) => emoji.length <= 2 * maxCharacters.emoji)
    .slice(0, maxEntries.emoji)
    .map(([emoji, ids]) => {
      const kept = ids.slice(0, left)
      left -= kept.length
      return [emoji, kept]
    })
  return JSON.stringify(Object.fromEntries(reactions))
}

/** An event as JSON that fits. Its kind and numbers stay; its longest parts are shortened. */
export function fitEvent(json: string): string {
  // No character takes more than three bytes for each of its code units.
  if (json.length * 3 <= maxBytes.event || Buffer.byteLength(json) <= maxBytes.event) return json
  return fitJson(json, maxBytes.event)
}

/** The tags that fit, in their order. */
export function fitTags(tags: readonly string[]): string[] {
  const fitting = tags.filter((tag) => tag.length <= maxCharacters.tag)
  const others = fitting.filter((tag) => !isUnreadMark(tag)).slice(0, maxEntries.tags)
  return [...others, ...fitting.filter(isUnreadMark).slice(0, maxEntries.unread)]
}

/** Shortens a text until its JSON has at most `most` bytes. */
function fitText(text: string, bytes: number): string {
  let fitting = cut(text, bytes)
  while (textBytes(fitting) > bytes) fitting = cut(fitting, Math.floor(fitting.length / 2))
  return fitting
}

/** JSON with at most `most` bytes: the texts in it are cut more and more until it fits. */
function fitJson(json: string, bytes: number, otherwise = 'null'): string {
  if (bytesOf(json) <= bytes) return json
  const value: unknown = JSON.parse(json)
  for (const most of [8096, 2000, 500, 100, 30]) {
    const shorter = JSON.stringify(shorten(value, most, 0))
    if (bytesOf(shorter) <= bytes) return shorter
  }
  return otherwise
}

const maxNesting = 8
const maxItems = 200

function shorten(value: unknown, most: number, depth: number): unknown {
  if (typeof value === 'string') return cut(value, most)
  if (typeof value !== 'object' || value === null) return value
  if (depth > maxNesting) return null
  if (Array.isArray(value)) return value.slice(0, maxItems).map((item) => shorten(item, most, depth + 1))
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key.length <= maxCharacters.name)
      .slice(0, maxItems)
      .map(([key, item]) => [key, shorten(item, most, depth + 1)]),
  )
}
