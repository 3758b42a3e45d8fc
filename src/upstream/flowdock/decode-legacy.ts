import type { Commit, LegacyMessage } from './model.ts'

type Json = Readonly<Record<string, unknown>>

/**
 * The content of messages of integrations of before 2014: payloads of services of that time, in which any part may be missing.
 * [flowdock] oulu, fixtures. Undefined for any other event.
 */
export function decodeLegacy(event: string, content: Json): LegacyMessage | undefined {
  const text = (...path: string[]) => textAt(content, path)
  switch (event) {
    case 'rss':
      return {
        kind: 'RssMessage',
        title: text('title'),
        body: text('content'),
        link: text('link'),
        authorName: text('author'),
        feedTitle: text('feed', 'title'),
        feedUrl: text('feed', 'url'),
        categories: listAt(content, 'categories').filter((item) => typeof item === 'string'),
      }
    case 'twitter':
      return { kind: 'TwitterMessage', text: text('text'), screenName: text('user', 'screen_name') }
    case 'zendesk':
      return {
        kind: 'ZendeskMessage',
        title: text('title'),
        body: text('description'),
        latestComment: text('latest_comment'),
        status: text('status'),
        priority: text('priority'),
        ticketUrl: text('url'),
        requesterName: text('requester'),
        assigneeName: text('assignee'),
      }
    case 'jira':
      return {
        kind: 'JiraMessage',
        action: text('event_type'),
        issueKey: text('issue_key'),
        summary: text('issue_summary'),
        body: text('issue_description'),
        comment: text('comment_body'),
        status: text('issue_status'),
        priority: text('issue_priority'),
        issueType: text('issue_type'),
        issueUrl: text('issue_url'),
        projectName: text('project_name'),
        actorName: text('user_name'),
      }
    case 'confluence':
      return {
        kind: 'ConfluenceMessage',
        action: text('event'),
        pageTitle: text('page_title'),
        pageUrl: text('page_url'),
        spaceName: text('space_name'),
        summary: text('content_summary'),
        comment: text('comment_content_summary'),
        actorName: text('user_name'),
      }
    case 'vcs':
      return decodeVcs(content)
    case 'svn':
      return {
        kind: 'SvnMessage',
        action: text('action'),
        repositoryName: text('repository', 'name'),
        branch: text('branch'),
        revision: text('revision'),
        revisionUrl: text('revision_url'),
        text: text('message'),
        actorName: text('author', 'name'),
      }
    case 'pivotaltracker':
      return {
        kind: 'PivotalTrackerMessage',
        action: text('event_type'),
        text: text('description'),
        actorName: text('author'),
        storyNames: listAt(content, 'stories').flatMap((story) => textAt(story, ['name']) ?? []),
      }
    case 'uservoice':
      return { kind: 'UserVoiceMessage', action: text('event'), details: content }
    default:
      return undefined
  }
}

/** The body of a GitHub webhook. Early pushes do not name their event. */
function decodeVcs(content: Json): LegacyMessage {
  const text = (...path: string[]) => textAt(content, path)
  return {
    kind: 'VcsMessage',
    action: text('event') ?? (Array.isArray(content['commits']) ? 'push' : null),
    repositoryName: text('repository', 'full_name') ?? text('repository', 'name'),
    repositoryUrl: text('repository', 'html_url') ?? text('repository', 'url'),
    ref: text('ref') ?? text('branch') ?? text('pull_request', 'head', 'ref'),
    title: text('pull_request', 'title') ?? text('issue', 'title'),
    itemUrl:
      text('comment', 'html_url') ??
      text('pull_request', 'html_url') ??
      text('issue', 'html_url') ??
      text('compare'),
    comment: text('comment', 'body'),
    actorName: text('sender', 'login') ?? text('pusher', 'name'),
    commits: listAt(content, 'commits').flatMap(decodeCommit),
  }
}

function decodeCommit(commit: unknown): Commit[] {
  const id = textAt(commit, ['id'])
  if (id === null) return []
  return [
    {
      id,
      message: textAt(commit, ['message']) ?? '',
      authorName: textAt(commit, ['author', 'name']),
      url: textAt(commit, ['url']),
    },
  ]
}

/** A text, or a number as text: revisions and ids were either. */
function textAt(value: unknown, path: readonly string[]): string | null {
  let found = value
  for (const key of path) {
    if (typeof found !== 'object' || found === null) return null
    found = (found as Json)[key]
  }
  return typeof found === 'string' ? found : typeof found === 'number' ? String(found) : null
}

function listAt(content: Json, key: string): unknown[] {
  const list = content[key]
  return Array.isArray(list) ? list : []
}
