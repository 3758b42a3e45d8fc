import { isRecord } from '../../json-values.ts'
import { maxCharacters } from '../bounds.ts'
import { invalid } from '../http/errors.ts'
import { isWebUrl } from './web-url.ts'

/*
 * What integrations of before 2014 posted about an issue, a page or a repository. Sources: the vendor's plugins for JIRA and
 * Confluence and its git hook, which post these keys, and [flowdock] oulu, fixtures, which shows the messages.
 */

type Json = Readonly<Record<string, unknown>>

/** A message of an integration, checked for form. */
export interface IntegrationMessage {
  readonly event: string
  readonly content: Json
  readonly tags: readonly string[]
  readonly thread: { readonly title: string }
}

/** The most commits of a message, so that a list of 100 messages stays short enough. */
const maxPayloadLength = 48 * 1024
const maxCommits = 20
const maxTitleLength = 200

const jiraKeys = [
  ...['event_type', 'event_type_id', 'issue_key', 'issue_summary', 'issue_url', 'issue_type', 'issue_status'],
  ...['issue_priority', 'issue_votes', 'issue_resolution', 'issue_description', 'issue_environment'],
  ...['issue_assignee_name', 'issue_assignee_email', 'issue_reporter_name', 'issue_reporter_email'],
  ...['issue_changelog', 'comment_body', 'project_name', 'project_url', 'user_name', 'user_email'],
]
const confluenceKeys = [
  ...['page_title', 'page_url', 'space_name', 'space_url', 'user_name', 'user_email', 'version_comment'],
  ...['content_summary', 'comment_content_summary', 'diff'],
]

/** @throws 400 when it names no issue */
export function decodeJira(payload: Json, tags: readonly string[]): IntegrationMessage {
  const changelog = payload['issue_changelog']
  const content = pick(
    { ...payload, issue_changelog: typeof changelog === 'string' ? parseJson(changelog) : changelog },
    jiraKeys,
  )
  const title = [textOf(content['issue_key']), textOf(content['issue_summary'])].filter((part) => part !== '')
  if (title.length === 0) throw invalid({ issue_key: ["can't be blank"] })
  return draft('jira', content, title.join(': '), tags)
}

/** @throws 400 when it names no page */
export function decodeConfluence(payload: Json, tags: readonly string[]): IntegrationMessage {
  const content = {
    // The plugin calls it an action, the message an event.
    event: textOf(payload['event']) || textOf(payload['action']) || 'update',
    ...pick(payload, confluenceKeys),
  }
  const title = textOf(payload['page_title'])
  if (title === '') throw invalid({ page_title: ["can't be blank"] })
  return draft('confluence', content, title, tags)
}

/** The payload of a GitHub webhook, which git hooks imitate. @throws 400 when it names no repository */
export function decodeVcs(payload: Json, event: string, tags: readonly string[]): IntegrationMessage {
  const { repository } = payload
  const title = textOf(at(repository, 'full_name')) || textOf(at(repository, 'name'))
  if (title === '') throw invalid({ repository: ["name can't be blank"] })
  const content = { ...payload, event }
  return draft('vcs', fits(content) ? content : withoutFiles(content), title, tags)
}

/** The tag of the repository of a GitHub webhook, such as `project:flowdock/oulu`. [flowdock] oulu, fixtures: github */
export function projectTags({ repository }: Json): string[] {
  const owner = textOf(at(repository, 'owner', 'name')) || textOf(at(repository, 'owner', 'login'))
  const tag = `project:${owner}/${textOf(at(repository, 'name'))}`
  return /^project:[\w.-]+\/[\w.-]+$/.test(tag) && tag.length <= maxCharacters.tag ? [tag] : []
}

/** The text of such a message for the search index. */
export function integrationText(event: string, content: unknown): string {
  const parts =
    event === 'jira'
      ? ['issue_key', 'issue_summary', 'issue_description', 'comment_body'].map((key) => at(content, key))
      : event === 'confluence'
        ? ['page_title', 'content_summary', 'comment_content_summary'].map((key) => at(content, key))
        : [
            at(content, 'repository', 'name'),
            ...['pull_request', 'issue'].map((item) => at(content, item, 'title')),
            at(content, 'comment', 'body'),
            ...listOf(at(content, 'commits')).map((commit) => at(commit, 'message')),
          ]
  return parts
    .map(textOf)
    .filter((part) => part !== '')
    .join('\n')
}

export function isIntegrationEvent(event: string): boolean {
  return event === 'vcs' || event === 'jira' || event === 'confluence'
}

function draft(event: string, content: Json, title: string, tags: readonly string[]): IntegrationMessage {
  const safe = withWebUrls(content)
  if (!fits(safe)) throw invalid({ payload: [`is too long (maximum is ${maxPayloadLength} characters)`] })
  return { event, content: safe, tags, thread: { title: title.slice(0, maxTitleLength).toWellFormed() } }
}

function fits(content: unknown): boolean {
  return JSON.stringify(content).length <= maxPayloadLength
}

/** The newest commits of a push, without the names of their files. */
function withoutFiles(content: Json): Json {
  const commits = listOf(content['commits']).slice(-maxCommits).map(withoutFileNames)
  return { ...content, commits, head_commit: withoutFileNames(content['head_commit']) }
}

function withoutFileNames(commit: unknown): unknown {
  if (!isRecord(commit)) return commit
  const { added: _added, modified: _modified, removed: _removed, ...rest } = commit
  return rest
}

/** Leaves out values that are not web URLs: as a link, a `javascript:` URL would run in the page of a client. */
function withWebUrls(value: unknown): Json
function withWebUrls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withWebUrls)
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key, item]) => !/(^|_)(url|link|href)$|^compare$/.test(key) || item === null || isWebUrl(item),
      )
      .map(([key, item]) => [key, withWebUrls(item)]),
  )
}

function pick(payload: Json, keys: readonly string[]): Json {
  return Object.fromEntries(
    keys.flatMap((key) => (payload[key] === undefined || payload[key] === null ? [] : [[key, payload[key]]])),
  )
}

function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((found, key) => (isRecord(found) ? found[key] : undefined), value)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value) : ''
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
