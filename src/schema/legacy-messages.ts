import type { Commit } from '../upstream/flowdock/model.ts'
import { builder, nullable } from './builder.ts'

/* The messages of integrations of before 2014, which old flows have in their history. Any part of them may be missing. */

const kind = { sharing: 'same' as const, interfaces: [builder.nodeInterfaceRef(), 'Message' as const] }

builder.objectType('RssMessage', {
  ...kind,
  description: 'An entry of an RSS feed.',
  fields: (t) => ({
    title: t.exposeString('title', { nullable: true, description: 'The title of the entry.' }),
    body: t.exposeString('body', { nullable: true, description: 'The text, as HTML.' }),
    link: t.exposeString('link', { nullable: true, description: 'The URL of the page.' }),
    authorName: t.exposeString('authorName', { nullable: true, description: 'The name of the author.' }),
    feedTitle: t.exposeString('feedTitle', { nullable: true, description: 'The title of the feed.' }),
    feedUrl: t.exposeString('feedUrl', { nullable: true, description: 'The URL of the feed.' }),
    categories: t.exposeStringList('categories', { description: 'The categories of the entry.' }),
  }),
})

builder.objectType('TwitterMessage', {
  ...kind,
  description: 'A tweet.',
  fields: (t) => ({
    screenName: t.exposeString('screenName', { nullable: true, description: 'The name of the author.' }),
  }),
})

builder.objectType('ZendeskMessage', {
  ...kind,
  description: 'A ticket of Zendesk.',
  fields: (t) => ({
    title: t.exposeString('title', { nullable: true, description: 'The title of the ticket.' }),
    body: t.exposeString('body', { nullable: true, description: 'The description.' }),
    latestComment: t.exposeString('latestComment', nullable('The latest comment.')),
    ticketStatus: t.exposeString('status', { nullable: true, description: 'The status of the ticket.' }),
    priority: t.exposeString('priority', { nullable: true, description: 'The priority.' }),
    ticketUrl: t.exposeString('ticketUrl', { nullable: true, description: 'The URL of the page.' }),
    requesterName: t.exposeString('requesterName', nullable('The name of the user who opened the ticket.')),
    assigneeName: t.exposeString('assigneeName', nullable('The name of the assigned user.')),
  }),
})

builder.objectType('JiraMessage', {
  ...kind,
  description: 'An issue of Jira.',
  fields: (t) => ({
    action: t.exposeString('action', { nullable: true, description: 'The action on the issue.' }),
    issueKey: t.exposeString('issueKey', nullable('The key of the issue, such as `DOCK-1`.')),
    summary: t.exposeString('summary', { nullable: true, description: 'The summary of the issue.' }),
    body: t.exposeString('body', { nullable: true, description: 'The description.' }),
    comment: t.exposeString('comment', { nullable: true, description: 'The comment.' }),
    issueStatus: t.exposeString('status', { nullable: true, description: 'The status of the issue.' }),
    priority: t.exposeString('priority', { nullable: true, description: 'The priority.' }),
    issueType: t.exposeString('issueType', { nullable: true, description: 'The type of the issue.' }),
    issueUrl: t.exposeString('issueUrl', { nullable: true, description: 'The URL of the page.' }),
    projectName: t.exposeString('projectName', { nullable: true, description: 'The name of the project.' }),
    actorName: t.exposeString('actorName', nullable('The name of the user who did it.')),
  }),
})

builder.objectType('ConfluenceMessage', {
  ...kind,
  description: 'A page of Confluence.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description: 'The action: `create`, `update`, `delete` or `comment_create`.',
    }),
    pageTitle: t.exposeString('pageTitle', { nullable: true, description: 'The title of the page.' }),
    pageUrl: t.exposeString('pageUrl', { nullable: true, description: 'The URL of the page.' }),
    spaceName: t.exposeString('spaceName', { nullable: true, description: 'The name of the space.' }),
    summary: t.exposeString('summary', { nullable: true, description: 'A summary of the page.' }),
    comment: t.exposeString('comment', { nullable: true, description: 'A summary of the comment.' }),
    actorName: t.exposeString('actorName', nullable('The name of the user who did it.')),
  }),
})

const CommitType = builder.objectRef<Commit>('Commit').implement({
  sharing: 'same',
  description: 'A commit of a push.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'The hash of the commit.' }),
    message: t.exposeString('message', { description: 'The commit message.' }),
    authorName: t.exposeString('authorName', { nullable: true, description: 'The name of the author.' }),
    url: t.exposeString('url', { nullable: true, description: 'The URL of the page.' }),
  }),
})

builder.objectType('VcsMessage', {
  ...kind,
  description: 'A push, a pull request or a comment on GitHub.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description: 'The action: `push`, `pull_request`, `issue_comment` or `commit_comment`.',
    }),
    repositoryName: t.exposeString('repositoryName', nullable('The name of the repository.')),
    repositoryUrl: t.exposeString('repositoryUrl', nullable('The page of the repository.')),
    ref: t.exposeString('ref', { nullable: true, description: 'The branch or tag.' }),
    title: t.exposeString('title', nullable('The title of the pull request or issue.')),
    itemUrl: t.exposeString('itemUrl', nullable('The URL of the pull request, issue or commit.')),
    comment: t.exposeString('comment', { nullable: true, description: 'The comment.' }),
    actorName: t.exposeString('actorName', nullable('The name of the user who did it.')),
    commits: t.field({
      type: [CommitType],
      listSize: 10,
      description: 'The commits of a push that GitHub listed.',
      resolve: ({ commits }) => [...commits],
    }),
  }),
})

builder.objectType('SvnMessage', {
  ...kind,
  description: 'A change in Subversion.',
  fields: (t) => ({
    action: t.exposeString('action', nullable('The action: `commit`, `branch_create` or `branch_delete`.')),
    repositoryName: t.exposeString('repositoryName', nullable('The name of the repository.')),
    branch: t.exposeString('branch', { nullable: true, description: 'The branch.' }),
    revision: t.exposeString('revision', { nullable: true, description: 'The revision.' }),
    revisionUrl: t.exposeString('revisionUrl', { nullable: true, description: 'The URL of the page.' }),
    actorName: t.exposeString('actorName', nullable('The name of the user who did it.')),
  }),
})

builder.objectType('PivotalTrackerMessage', {
  ...kind,
  description: 'Stories of Pivotal Tracker.',
  fields: (t) => ({
    action: t.exposeString('action', { nullable: true, description: 'The action.' }),
    actorName: t.exposeString('actorName', nullable('The name of the user who did it.')),
    storyNames: t.exposeStringList('storyNames', { description: 'The names of the stories.' }),
  }),
})

builder.objectType('UserVoiceMessage', {
  ...kind,
  description: 'A suggestion, a comment, an article, a kudo or a ticket of UserVoice.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description: 'The action, such as `new_suggestion`, `new_comment` or `new_ticket`.',
    }),
    details: t.field({
      type: 'JSON',
      description: 'The data of the action, as UserVoice sent it. Its fields depend on the action.',
      resolve: ({ details }) => details,
    }),
  }),
})
