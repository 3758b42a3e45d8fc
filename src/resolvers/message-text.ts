import type { Context } from '../context.ts'
import type { Message, User } from '../upstream/flowdock/model.ts'
import type { Part } from './rich-text.ts'

/** A user or a group that a message mentions. */
export type Mention =
  | { readonly userId: number; readonly group: null }
  | { readonly userId: null; readonly group: 'everyone' | 'team' }

/** The converters take a while to load, and most operations need none. */
const loadRichText = () => import('./rich-text.ts')

export async function text(message: Message): Promise<string> {
  const parts = partsOf(message)
  return parts.length === 0 ? '' : (await loadRichText()).toText(parts)
}

export async function html(message: Message): Promise<string> {
  const parts = partsOf(message)
  return parts.length === 0 ? '' : (await loadRichText()).toHtml(parts)
}

/** [flowdock] message-tags.md: `:user:ID`, `:user:everyone` and `:user:team` are mentions. */
export function mentions({ tags }: Message): Mention[] {
  return [...new Set(tags)].flatMap((tag): Mention[] => {
    const [, name] = /^:user:(\d{1,15}|everyone|team)$/.exec(tag) ?? []
    if (name === undefined) return []
    if (name === 'everyone' || name === 'team') return [{ userId: null, group: name }]
    return [{ userId: Number(name), group: null }]
  })
}

export async function mentionedUser(
  { userId }: Mention,
  _: unknown,
  { flowdock }: Context,
): Promise<User | null> {
  return userId === null ? null : flowdock.load.user(userId)
}

/** [flowdock] message-tags.md: tags with a colon in front, and `influx:ID`, are marks of the service. */
export function hashtags({ tags }: Message): string[] {
  return [...new Set(tags.map((tag) => tag.replace(/^#/, '')))].filter((tag) => !/^(:|@|influx:|$)/.test(tag))
}

/** The parts of a message with text; none for service messages such as joins. */
function partsOf(message: Message): Part[] {
  switch (message.kind) {
    case 'ChatMessage':
    case 'Comment':
    case 'StatusMessage':
    case 'LineMessage':
    case 'MessageEdit':
      return plain(message.content)
    case 'FileMessage':
      return plain(message.file.name)
    case 'Activity':
    case 'Discussion':
      return [...rich(message.title), ...rich(message.body)]
    case 'MailMessage':
      return [...plain(message.subject), ...rich(message.body)]
    case 'RssMessage':
      return [...plain(message.title), ...rich(message.body)]
    case 'ZendeskMessage':
      return [...plain(message.title), ...plain(message.latestComment ?? message.body)]
    case 'JiraMessage':
      return [...plain(joined(message.issueKey, message.summary)), ...plain(message.comment)]
    case 'ConfluenceMessage':
      return [...plain(message.pageTitle), ...plain(message.comment ?? message.summary)]
    case 'VcsMessage':
      return [
        ...plain(message.title),
        ...plain(message.comment),
        ...message.commits.flatMap((commit) => plain(commit.message)),
      ]
    case 'TwitterMessage':
    case 'SvnMessage':
    case 'PivotalTrackerMessage':
      return plain(message.text)
    case 'ActionMessage':
    case 'TagChange':
    case 'MessageDelete':
    case 'UserVoiceMessage':
    case 'UnknownMessage':
      return []
  }
}

function plain(source: string | null): Part[] {
  return source === null || source === '' ? [] : [{ format: 'plain', source }]
}

function rich(source: string | null): Part[] {
  return source === null || source === '' ? [] : [{ format: 'html', source }]
}

function joined(...parts: (string | null)[]): string {
  return parts.filter((part) => part !== null).join(': ')
}
