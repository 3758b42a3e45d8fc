import { boundedTags, boundedText } from '../../bounds.ts'
import { invalid } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import type { MessageDraft } from '../operations/messages.ts'
import type { Route } from '../route.ts'
import { webUrl } from '../web-url.ts'
import { segment } from './access.ts'
import { push, pushHolder } from './source-token.ts'

/** [flowdock] push.md, team-inbox.md: what a name of a source or project may be made of. */
const namePattern = /^[\w -]{1,100}$/

/**
 * The deprecated push API, which many integrations still speak: the token in the path is that of a flow or of a source,
 * several may be joined by commas. The router takes the `/v1` off.
 */
export const pushRoutes: readonly Route[] = [
  {
    method: 'POST',
    pattern: '/messages/chat/:token',
    auth: 'any',
    holder: pushHolder,
    handle: async (request, backend) => push(segment(request, 'token'), decodeChat(request.params), backend),
  },
  ...['/messages/team_inbox/:token', '/messages/influx/:token'].map(
    (pattern): Route => ({
      method: 'POST',
      pattern,
      auth: 'any',
      holder: pushHolder,
      handle: async (request, backend) =>
        push(segment(request, 'token'), decodeMail(request.params), backend),
    }),
  ),
]

function decodeChat(params: Params): MessageDraft {
  const content = boundedText(params, 'content', 'content')
  const name = boundedText(params, 'external_user_name', 'external_user_name')
  const errors = {
    ...problem('content', content === undefined || content.trim() === '', "can't be blank"),
    ...problem('external_user_name', name === undefined || name === '', "can't be blank"),
    ...problem('external_user_name', /\s/.test(name ?? ''), 'should not contain whitespace'),
  }
  if (content === undefined || name === undefined || Object.keys(errors).length > 0) throw invalid(errors)
  const parentId = params.integer('message_id')
  const threadId = boundedText(params, 'thread_id', 'thread_id')
  return {
    event: parentId === undefined ? 'message' : 'comment',
    content,
    externalUserName: name,
    tags: boundedTags(params) ?? [],
    ...(parentId === undefined ? {} : { parentId }),
    ...(threadId === undefined ? {} : { threadId }),
  }
}

/** An e-mail as the team inbox shows it. @throws 400 */
export function decodeMail(params: Params): MessageDraft {
  const required = (
    [
      ['source', 'name'],
      ['from_address', 'email'],
      ['subject', 'title'],
      ['content', 'body'],
    ] as const
  ).map(([name, field]) => [name, boundedText(params, name, field)?.trim() ?? ''])
  const { source = '', from_address: address = '', subject = '', content = '' } = Object.fromEntries(required)
  const project = params.string('project')
  const nameProblem = 'can only contain letters, digits, underscores, dashes and spaces'
  const errors = {
    ...Object.fromEntries(
      required.filter(([, value]) => value === '').map(([name]) => [name, ["can't be blank"]]),
    ),
    ...problem('source', source !== '' && !namePattern.test(source), nameProblem),
    ...problem('project', project !== undefined && !namePattern.test(project), nameProblem),
  }
  if (Object.keys(errors).length > 0) throw invalid(errors)
  const replyTo = boundedText(params, 'reply_to', 'email')
  const link = webUrl(params, 'link') ?? undefined
  const name = boundedText(params, 'from_name', 'author')
  return {
    event: 'mail',
    content: {
      subject,
      replyTo: replyTo === undefined ? [] : [replyTo],
      to: [],
      contentType: 'text/html',
      from: [{ name: name ?? '', address }],
      cc: [],
      bcc: [],
      content,
      sender: address,
      source,
      ...(project === undefined ? {} : { project }),
      ...(link === undefined ? {} : { link }),
    },
    tags: [`:source:${source}`, ...(boundedTags(params) ?? [])],
    ...(link === undefined ? {} : { thread: { externalUrl: link } }),
  }
}

function problem(name: string, wrong: boolean, message: string): Record<string, string[]> {
  return wrong ? { [name]: [message] } : {}
}
