import type { Commit } from '../upstream/flowdock/model.ts'
import { builder } from './builder.ts'

/*
 * What integrations of before 2014 told. Such messages come with the history of old flows; any part of one may be
 * missing.
 */

const kind = { sharing: 'same' as const, interfaces: [builder.nodeInterfaceRef(), 'Message' as const] }

builder.objectType('RssMessage', {
  ...kind,
  description: 'An entry of a feed.',
  fields: (t) => ({
    title: t.exposeString('title', { nullable: true, description: 'The title of the entry.' }),
    body: t.exposeString('body', { nullable: true, description: 'What it says, as HTML.' }),
    link: t.exposeString('link', { nullable: true, description: 'Its page.' }),
    authorName: t.exposeString('authorName', { nullable: true, description: 'Who wrote it.' }),
    feedTitle: t.exposeString('feedTitle', { nullable: true, description: 'The title of the feed.' }),
    feedUrl: t.exposeString('feedUrl', { nullable: true, description: 'The address of the feed.' }),
    categories: t.exposeStringList('categories', { description: 'What it is filed under.' }),
  }),
})

builder.objectType('TwitterMessage', {
  ...kind,
  description: 'A tweet.',
  fields: (t) => ({
    screenName: t.exposeString('screenName', { nullable: true, description: 'Who wrote it.' }),
  }),
})

builder.objectType('ZendeskMessage', {
  ...kind,
  description: 'A ticket of Zendesk.',
  fields: (t) => ({
    title: t.exposeString('title', { nullable: true, description: 'The title of the ticket.' }),
    body: t.exposeString('body', { nullable: true, description: 'What it is about.' }),
    latestComment: t.exposeString('latestComment', {
      nullable: true,
      description: 'What was said of it last.',
    }),
    ticketStatus: t.exposeString('status', { nullable: true, description: 'The status of the ticket.' }),
    priority: t.exposeString('priority', { nullable: true, description: 'How urgent it is.' }),
    ticketUrl: t.exposeString('ticketUrl', { nullable: true, description: 'Its page.' }),
    requesterName: t.exposeString('requesterName', { nullable: true, description: 'Who asked.' }),
    assigneeName: t.exposeString('assigneeName', { nullable: true, description: 'Who works on it.' }),
  }),
})

builder.objectType('JiraMessage', {
  ...kind,
  description: 'An issue of Jira.',
  fields: (t) => ({
    action: t.exposeString('action', { nullable: true, description: 'What was done to it.' }),
    issueKey: t.exposeString('issueKey', { nullable: true, description: 'Its key, such as `DOCK-1`.' }),
    summary: t.exposeString('summary', { nullable: true, description: 'Its summary.' }),
    body: t.exposeString('body', { nullable: true, description: 'What it is about.' }),
    comment: t.exposeString('comment', { nullable: true, description: 'What was said of it.' }),
    issueStatus: t.exposeString('status', { nullable: true, description: 'The status of the issue.' }),
    priority: t.exposeString('priority', { nullable: true, description: 'How urgent it is.' }),
    issueType: t.exposeString('issueType', { nullable: true, description: 'What kind of issue it is.' }),
    issueUrl: t.exposeString('issueUrl', { nullable: true, description: 'Its page.' }),
    projectName: t.exposeString('projectName', { nullable: true, description: 'The project it is in.' }),
    actorName: t.exposeString('actorName', { nullable: true, description: 'Who did it.' }),
  }),
})

builder.objectType('ConfluenceMessage', {
  ...kind,
  description: 'A page of Confluence.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description: 'What was done: `create`, `update`, `delete`, `comment_create`.',
    }),
    pageTitle: t.exposeString('pageTitle', { nullable: true, description: 'The title of the page.' }),
    pageUrl: t.exposeString('pageUrl', { nullable: true, description: 'Its address.' }),
    spaceName: t.exposeString('spaceName', { nullable: true, description: 'The space it is in.' }),
    summary: t.exposeString('summary', { nullable: true, description: 'What it says, in short.' }),
    comment: t.exposeString('comment', { nullable: true, description: 'What was said of it, in short.' }),
    actorName: t.exposeString('actorName', { nullable: true, description: 'Who did it.' }),
  }),
})

const CommitType = builder.objectRef<Commit>('Commit').implement({
  sharing: 'same',
  description: 'A change that was pushed.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'Its hash.' }),
    message: t.exposeString('message', { description: 'What it says of itself.' }),
    authorName: t.exposeString('authorName', { nullable: true, description: 'Who made it.' }),
    url: t.exposeString('url', { nullable: true, description: 'Its page.' }),
  }),
})

builder.objectType('VcsMessage', {
  ...kind,
  description: 'A push, a pull request or a comment on GitHub.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description: 'What was done: `push`, `pull_request`, `issue_comment`, `commit_comment`.',
    }),
    repositoryName: t.exposeString('repositoryName', { nullable: true, description: 'Where.' }),
    repositoryUrl: t.exposeString('repositoryUrl', {
      nullable: true,
      description: 'The page of the repository.',
    }),
    ref: t.exposeString('ref', { nullable: true, description: 'The branch or tag.' }),
    title: t.exposeString('title', {
      nullable: true,
      description: 'The title of the pull request or issue.',
    }),
    itemUrl: t.exposeString('itemUrl', { nullable: true, description: 'The page of what was done.' }),
    comment: t.exposeString('comment', { nullable: true, description: 'What was said.' }),
    actorName: t.exposeString('actorName', { nullable: true, description: 'Who did it.' }),
    commits: t.field({
      type: [CommitType],
      listSize: 10,
      description: 'What was pushed, as far as the service told.',
      resolve: ({ commits }) => [...commits],
    }),
  }),
})

builder.objectType('SvnMessage', {
  ...kind,
  description: 'A change in Subversion.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description: 'What was done: `commit`, `branch_create`, `branch_delete`.',
    }),
    repositoryName: t.exposeString('repositoryName', { nullable: true, description: 'Where.' }),
    branch: t.exposeString('branch', { nullable: true, description: 'The branch.' }),
    revision: t.exposeString('revision', { nullable: true, description: 'The revision.' }),
    revisionUrl: t.exposeString('revisionUrl', { nullable: true, description: 'Its page.' }),
    actorName: t.exposeString('actorName', { nullable: true, description: 'Who did it.' }),
  }),
})

builder.objectType('PivotalTrackerMessage', {
  ...kind,
  description: 'Stories of Pivotal Tracker.',
  fields: (t) => ({
    action: t.exposeString('action', { nullable: true, description: 'What was done.' }),
    actorName: t.exposeString('actorName', { nullable: true, description: 'Who did it.' }),
    storyNames: t.exposeStringList('storyNames', { description: 'The stories.' }),
  }),
})

builder.objectType('UserVoiceMessage', {
  ...kind,
  description: 'A suggestion, a comment, an article, a kudo or a ticket of UserVoice.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description: 'What was done: `new_suggestion`, `new_comment`, `new_ticket` …',
    }),
    details: t.field({
      type: 'JSON',
      description: 'What it was done to; each kind of thing has fields of its own.',
      resolve: ({ details }) => details,
    }),
  }),
})
