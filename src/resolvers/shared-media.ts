import type { Context } from '../context.ts'
import type { File, Flow, Message } from '../upstream/flowdock/model.ts'
import { filteredMessages, type MessageFilter } from './message-filter.ts'
import type { Connection, PageArgs } from './pagination.ts'

/** A file of a flow, and the message with the file. */
export interface FileShare {
  readonly file: File
  readonly message: Message
}

/** The links of one message. */
export interface LinkShare {
  readonly urls: readonly string[]
  readonly message: Message
}

type Shares<T> = Connection<T> & { readonly isExhaustive: boolean }

export async function flowFiles(flow: Flow, args: PageArgs, context: Context): Promise<Shares<FileShare>> {
  return shares(flow, args, { kinds: ['FileMessage'] }, context, (message) =>
    message.kind === 'FileMessage' ? { file: message.file, message } : undefined,
  )
}

export async function flowLinks(flow: Flow, args: PageArgs, context: Context): Promise<Shares<LinkShare>> {
  return shares(flow, args, { hasLink: true }, context, (message) => ({ urls: urlsOf(message), message }))
}

async function shares<T>(
  { id, path }: Flow,
  args: PageArgs,
  filter: Pick<MessageFilter, 'kinds' | 'hasLink'>,
  context: Context,
  toShare: (message: Message) => T | undefined,
): Promise<Shares<T>> {
  const page = await filteredMessages(
    { key: id, channel: path, threadId: undefined },
    args,
    { ...filter, tagMode: 'all' },
    context,
  )
  const edges = page.edges.flatMap(({ cursor, node }) => {
    const share = toShare(node)
    return share === undefined ? [] : [{ cursor, node: share }]
  })
  return { edges, pageInfo: page.pageInfo, isExhaustive: page.isExhaustive }
}

/** The URLs in texts and in the `href`s of HTML, each once, in the order of the text. */
export function urlsOf(message: Message): string[] {
  const texts = [
    'content' in message ? message.content : '',
    'title' in message ? message.title : '',
    'body' in message ? message.body : '',
    message.externalUrl,
  ]
  const found = texts.flatMap((text) => (text ?? '').match(/https?:\/\/[^\s<>"']+/g) ?? [])
  return [
    ...new Set(
      found.map((url) => url.replace(/(?<![.,;:!?)\]}])[.,;:!?)\]}]+$/, '').replaceAll('&amp;', '&')),
    ),
  ]
}
