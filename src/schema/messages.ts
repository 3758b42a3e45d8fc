import { decoded } from '../resolvers/decoded.ts'

import * as messageText from '../resolvers/message-text.ts'

import * as messages from '../resolvers/messages.ts'
import type { MailAddress, Message, MessageKind } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

const MentionGroup = builder.enumType('MentionGroup', {
  description: 'A group of users that a message can mention.',
  values: {
    EVERYONE: { value: 'everyone', description: 'All members of the flow: `@everyone`.' },
    TEAM: { value: 'team', description: 'The team of the flow: `@team`.' },
  } as const,
})

const Mention = builder.objectRef<messageText.Mention>('Mention').implement({
  sharing: 'same',
  description: 'A user or a group that a message mentions.',
  fields: (t) => ({
    user: t.field({
      type: 'User',
      nullable: true,
      calls: { once: ['users'] },
      sharing: 'same',
      description: 'The user. Null for a group, and for a user whom you cannot see.',
      resolve: messageText.mentionedUser,
    }),
    group: t.field({
      type: MentionGroup,
      nullable: true,
      description: 'The group. Null for a user.',
      resolve: ({ group }) => group,
    }),
  }),
})

builder.interfaceType('Message', {
  sharing: 'same',
  description: 'Something said or done in a flow or a private conversation.',
  interfaces: [builder.nodeInterfaceRef()],
  resolveType: (message) => message.kind,
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: messages.id }),
    databaseId: t.exposeInt('id', { description: 'Its number in the flow; grows with time.' }),
    event: t.exposeString('event', { description: "The upstream's name for this kind of message." }),
    tags: t.exposeStringList('tags', {
      description:
        'Hashtags without "#", and what the upstream marks: `:user:7` mentions user 7, `:url` has a link.',
    }),
    hashtags: t.stringList({
      description: 'The hashtags among `tags`, without "#", each once.',
      resolve: messageText.hashtags,
    }),
    mentions: t.field({
      type: [Mention],
      listSize: 1,
      description: 'The users and groups that the message mentions, each once.',
      resolve: messageText.mentions,
    }),
    text: t.string({
      description:
        'The message as plain text, with emoji as characters; the name for a file, title and body for what an integration posted. Empty for service messages such as joins. Titles and bodies are cut at 16,384 characters.',
      resolve: messageText.text,
    }),
    html: t.string({
      description:
        'The same as HTML that is safe to put into a page: with links, and emoji as characters. It has no images, styles or scripts. Titles and bodies are cut at 16,384 characters.',
      resolve: messageText.html,
    }),
    uuid: t.exposeString('uuid', {
      nullable: true,
      description: 'The id its sender gave it; repeating a send with it makes no second message.',
    }),
    author: t.field({
      type: 'Author',
      nullable: true,
      calls: { once: ['users'] },
      sharing: 'same',
      description:
        'Who wrote it: the user who sent it, whatever name they chose for it. Null when the upstream names nobody, or a user whom you cannot see.',
      resolve: messages.author,
    }),
    externalUserName: t.exposeString('externalUserName', {
      nullable: true,
      description: 'The name its sender chose for it. Not verified: show it beside `author`, not instead.',
    }),
    sentAt: t.field({
      type: 'DateTime',
      description: 'When it was sent.',
      resolve: (message) => message.sentAt,
    }),
    editedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When its content was last changed.',
      resolve: (message) => message.editedAt,
    }),
    url: t.string({
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description: 'Its address in the REST API; null when its flow is not to be seen.',
      resolve: messages.url,
    }),
    webUrl: t.string({
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description:
        'The URL of a web page that says how to read the message. Null when its flow is not visible to you.',
      resolve: messages.webUrl,
    }),
    externalUrl: t.exposeString('externalUrl', {
      nullable: true,
      description: 'A page about it at the service it came from.',
    }),
    attachments: t.field({
      type: ['File'],
      listSize: 1,
      description: 'Files that came with it; that of a file message, too.',
      resolve: (message) => [...message.attachments],
    }),
    reactions: t.field({
      type: ['Reaction'],
      listSize: 1,
      description: 'What others answered it with in one sign.',
      resolve: (message) => [...message.reactions],
    }),
    viewerCanEdit: t.boolean({
      calls: { once: ['viewer'] },
      sharing: 'viewer',
      description: 'Whether you may change its text.',
      resolve: messages.viewerCanEdit,
    }),
    viewerCanDelete: t.boolean({
      calls: { once: ['viewer'] },
      sharing: 'viewer',
      description: 'Whether you may delete it.',
      resolve: messages.viewerCanDelete,
    }),
    thread: t.field({
      type: 'Thread',
      nullable: true,
      sharing: 'same',
      description: 'The thread it belongs to; null for what happens rather than is said.',
      resolve: messages.thread,
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description: 'The flow it is in; null for a private message.',
      resolve: messages.flow,
    }),
    conversation: t.field({
      type: 'PrivateConversation',
      nullable: true,
      description: 'The private conversation it is in; null for a message of a flow.',
      resolve: messages.conversation,
    }),
  }),
})

builder.objectType('Reaction', {
  sharing: 'same',
  description: 'An emoji, and who answered with it.',
  fields: (t) => ({
    emoji: t.exposeString('emoji', { description: 'Its name, such as `thumbsup`.' }),
    count: t.int({ description: 'How many did.', resolve: ({ userIds }) => userIds.length }),
    users: t.connection(
      {
        type: 'User',
        nullable: true,
        calls: { once: ['users'] },
        listSize: 100,
        description: 'Who did, as far as you may see them, by number; `first: 100` unless said otherwise.',
        resolve: messages.reactionUsers,
      },
      { name: 'ReactionUserConnection' },
      { name: 'ReactionUserEdge' },
    ),
  }),
})

const kind = { sharing: 'same' as const, interfaces: [builder.nodeInterfaceRef(), 'Message' as const] }

builder.objectType('ChatMessage', {
  ...kind,
  description: 'What somebody wrote.',
  fields: (t) => ({
    content: t.exposeString('content', { description: 'The text; blank once it was deleted.' }),
  }),
})

builder.objectType('Comment', {
  ...kind,
  description: 'A reply in the older style: to one message rather than in its thread.',
  fields: (t) => ({
    content: t.exposeString('content', { description: 'The text; blank once it was deleted.' }),
    title: t.exposeString('title', {
      nullable: true,
      description: 'The title of the message that the comment is on.',
    }),
    parent: t.field({
      type: 'Message',
      nullable: true,
      calls: { each: 1 },
      sharing: 'same',
      description: 'What it is on.',
      resolve: messages.parent,
    }),
  }),
})

builder.objectType('StatusMessage', {
  ...kind,
  description: 'Somebody says what they are doing.',
  fields: (t) => ({ content: t.exposeString('content', { description: 'The status.' }) }),
})

builder.objectType('LineMessage', {
  ...kind,
  description: 'Somebody tells of themselves in the third person ("/me").',
  fields: (t) => ({ content: t.exposeString('content', { description: 'The text.' }) }),
})

builder.objectType('FileMessage', {
  ...kind,
  description: 'Somebody uploaded a file.',
  fields: (t) => ({
    file: t.field({ type: 'File', description: 'The file.', resolve: (message) => message.file }),
  }),
})

builder.objectType('ActionMessage', {
  ...kind,
  description: 'Somebody joined, was added, was blocked, was invited.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description:
        'What the user did: `join`, `add_people`, `block`, `invite`, `decline`, `uninvite`, `add_rss_feed` …',
    }),
    addedNicks: t.exposeStringList('addedNicks', {
      nullable: true,
      description: 'Who was added, with `add_people`.',
    }),
    blockedUser: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description: 'Who was shut out, with `block`.',
      resolve: messages.blockedUser,
    }),
    email: t.exposeString('email', {
      nullable: true,
      description: 'Who was invited, with `invite`, `decline` and `uninvite`.',
    }),
    term: t.exposeString('term', {
      nullable: true,
      description: 'The address of a feed, or what was followed or searched for.',
    }),
    details: t.field({
      type: 'JSON',
      description: 'All that the upstream tells of it, also of actions nobody knows yet.',
      resolve: (message) => message.details,
    }),
  }),
})

builder.objectType('TagChange', {
  ...kind,
  description: 'Somebody changed the tags of a message.',
  fields: (t) => ({
    messageDatabaseId: t.exposeInt('messageId', { description: 'The number of that message.' }),
    added: t.exposeStringList('added', { description: 'The new tags.' }),
    removed: t.exposeStringList('removed', { description: 'The tags that went.' }),
  }),
})

builder.objectType('MessageEdit', {
  ...kind,
  description: 'Somebody changed what they wrote.',
  fields: (t) => ({
    messageDatabaseId: t.exposeInt('messageId', { description: 'The number of that message.' }),
    content: t.exposeString('content', { description: 'The new text; blank when it was deleted.' }),
  }),
})

builder.objectType('MessageDelete', {
  ...kind,
  description: 'Somebody removed a message.',
  fields: (t) => ({
    messageDatabaseId: t.exposeInt('messageId', { description: 'The number of that message.' }),
  }),
})

builder.objectType('Activity', {
  ...kind,
  description: 'An integration tells what was done to an item.',
  fields: (t) => ({
    title: t.exposeString('title', {
      nullable: true,
      description: 'What was done; may contain HTML links.',
    }),
    body: t.exposeString('body', { nullable: true, description: 'More about it, as HTML.' }),
  }),
})

builder.objectType('Discussion', {
  ...kind,
  description: 'An integration tells what was said about an item elsewhere.',
  fields: (t) => ({
    title: t.exposeString('title', { nullable: true, description: 'A headline; may contain HTML links.' }),
    body: t.exposeString('body', { nullable: true, description: 'What was said, as HTML.' }),
  }),
})

const MailAddressType = builder.objectRef<MailAddress>('MailAddress').implement({
  sharing: 'same',
  description: 'Somebody mail is from or to.',
  fields: (t) => ({
    name: t.exposeString('name', { nullable: true, description: 'The name, if there is one.' }),
    address: t.exposeString('address', { description: 'The address.' }),
  }),
})

builder.objectType('MailMessage', {
  ...kind,
  description: 'Mail to the address of the flow, or what old integrations posted.',
  fields: (t) => ({
    subject: t.exposeString('subject', { description: 'The subject.' }),
    body: t.exposeString('body', { nullable: true, description: 'The text, as HTML.' }),
    from: t.field({
      type: [MailAddressType],
      listSize: 1,
      description: 'Whom it is from.',
      resolve: ({ from }) => [...from],
    }),
    to: t.field({
      type: [MailAddressType],
      listSize: 1,
      description: 'Whom it is to.',
      resolve: ({ to }) => [...to],
    }),
    cc: t.field({
      type: [MailAddressType],
      listSize: 1,
      description: 'Who has a copy.',
      resolve: ({ cc }) => [...cc],
    }),
    replyTo: t.exposeStringList('replyTo', { description: 'The addresses answers go to.' }),
    sourceName: t.exposeString('source', {
      nullable: true,
      description: 'The name of the integration that pushed the message.',
    }),
    project: t.exposeString('project', {
      nullable: true,
      description: 'What the integration says it is about.',
    }),
    link: t.exposeString('link', { nullable: true, description: 'A page about it.' }),
  }),
})

builder.objectType('UnknownMessage', {
  ...kind,
  description: 'A kind of message this API has no type for yet.',
  fields: (t) => ({
    raw: t.field({ type: 'JSON', description: 'All of it, as it came.', resolve: (message) => message.raw }),
  }),
})

builder.objectType('File', {
  sharing: 'same',
  description: 'An uploaded file.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    contentType: t.exposeString('contentType', { description: 'Its media type.' }),
    byteSize: t.exposeInt('byteSize', { description: 'Its length in bytes.' }),
    width: t.exposeInt('width', { nullable: true, description: 'For images, in pixels.' }),
    height: t.exposeInt('height', { nullable: true, description: 'For images, in pixels.' }),
    contentId: t.exposeString('contentId', {
      nullable: true,
      description: 'What the body of the message refers to it by, as `cid:…`; null when it does not.',
    }),
    path: t.exposeString('path', {
      description: 'Its path in the REST API, to be read with the same credential.',
    }),
    url: t.string({
      description:
        'Where to read it on this host, such as `/files/…/name.png`: for 15 minutes, without a credential, with your rights.',
      resolve: messages.fileUrl,
    }),
    thumbnail: t.field({
      type: 'Thumbnail',
      nullable: true,
      description: 'It in small, for images.',
      resolve: (file) => decoded(file.thumbnail),
    }),
  }),
})

builder.objectType('Thumbnail', {
  sharing: 'same',
  description: 'An image in small.',
  fields: (t) => ({
    width: t.exposeInt('width', { description: 'In pixels.' }),
    height: t.exposeInt('height', { description: 'In pixels.' }),
    url: t.string({
      description: 'Where to read it on this host: for 15 minutes, without a credential, with your rights.',
      resolve: messages.fileUrl,
    }),
  }),
})

const MessageConnection = builder.connectionObject(
  {
    type: 'Message',
    name: 'MessageConnection',
    fields: (t) => ({
      isExhaustive: t.boolean({
        description:
          'Whether every message that can be on this page was looked at. Where the upstream cannot filter, 1,000 are; the cursor goes on from there.',
        resolve: (connection) => (connection as { isExhaustive?: boolean }).isExhaustive !== false,
      }),
    }),
  },
  { name: 'MessageEdge' },
)

const kindName = <Kind extends MessageKind>(value: Kind, description: string) => ({ value, description })

const MessageKindName = builder.enumType('MessageKind', {
  description: 'The kinds of message a filter can name.',
  values: {
    CHAT: kindName('ChatMessage', 'What somebody wrote.'),
    COMMENT: kindName('Comment', 'A reply in the older style.'),
    STATUS: kindName('StatusMessage', 'What somebody is doing.'),
    LINE: kindName('LineMessage', 'Somebody of themselves in the third person.'),
    FILE: kindName('FileMessage', 'An uploaded file.'),
    ACTION: kindName('ActionMessage', 'Somebody joined, was added, was blocked, was invited.'),
    TAG_CHANGE: kindName('TagChange', 'Tags were changed.'),
    MESSAGE_EDIT: kindName('MessageEdit', 'A text was changed.'),
    MESSAGE_DELETE: kindName('MessageDelete', 'A message was removed.'),
    ACTIVITY: kindName('Activity', 'An integration tells what was done.'),
    DISCUSSION: kindName('Discussion', 'An integration tells what was said.'),
    MAIL: kindName('MailMessage', 'Mail to the flow.'),
    RSS: kindName('RssMessage', 'An entry of a feed.'),
    TWITTER: kindName('TwitterMessage', 'A tweet.'),
    ZENDESK: kindName('ZendeskMessage', 'A ticket of Zendesk.'),
    JIRA: kindName('JiraMessage', 'An issue of Jira.'),
    CONFLUENCE: kindName('ConfluenceMessage', 'A page of Confluence.'),
    VCS: kindName('VcsMessage', 'A push, a pull request or a comment on GitHub.'),
    SVN: kindName('SvnMessage', 'A change in Subversion.'),
    PIVOTAL_TRACKER: kindName('PivotalTrackerMessage', 'A story of Pivotal Tracker.'),
    USER_VOICE: kindName('UserVoiceMessage', 'A suggestion, an article or a ticket of UserVoice.'),
  } as const,
})

const MessageFilterInput = builder.inputType('MessageFilter', {
  description:
    'Which messages to list; all that is given must hold. With `text` or `tags` a list is read from the newest match, by `last` and `before`.',
  fields: (t) => ({
    kinds: t.field({ type: [MessageKindName], description: 'Only these.' }),
    text: t.string({ description: 'Words that are all in it: whole ones, in either case.' }),
    tags: t.stringList({ description: 'Tags: `release`, `@Ada`.' }),
    tagMode: t.field({
      type: 'TagMode',
      required: true,
      defaultValue: 'all',
      description: 'Which of the tags have to be there.',
    }),
    authorIds: t.idList({ description: 'Written by one of these users, by global id.' }),
    mentionIds: t.idList({ description: 'Naming one of these users, by global id.' }),
    hasFile: t.boolean({ description: 'Whether a file came with it.' }),
    hasLink: t.boolean({ description: 'Whether a link is in it.' }),
    threadId: t.id({ description: 'In this thread of the flow, by global id.' }),
    since: t.field({ type: 'DateTime', description: 'Sent at this moment or later.' }),
    until: t.field({ type: 'DateTime', description: 'Sent before this moment.' }),
    sinceMessageId: t.id({ description: 'Sent after this message of the same place, by global id.' }),
    untilMessageId: t.id({ description: 'Sent before this message of the same place, by global id.' }),
  }),
})

builder.inputType('LiveMessageFilter', {
  description: 'Which of the messages that come; all that is given must hold.',
  fields: (t) => ({
    kinds: t.field({ type: [MessageKindName], description: 'Only these.' }),
    text: t.string({ description: 'Words that are all in it: whole ones, in either case.' }),
    tags: t.stringList({ description: 'Tags: `release`.' }),
    tagMode: t.field({
      type: 'TagMode',
      required: true,
      defaultValue: 'all',
      description: 'Which of the tags have to be there.',
    }),
    authorIds: t.idList({ description: 'Written by one of these users, by global id.' }),
    mentionIds: t.idList({ description: 'Naming one of these users, by global id.' }),
    hasFile: t.boolean({ description: 'Whether a file came with it.' }),
    hasLink: t.boolean({ description: 'Whether a link is in it.' }),
    threadId: t.id({ description: 'In this thread, by global id.' }),
  }),
})

const pageCalls = { each: 1, withArgument: { name: 'filter', each: 10 }, isPage: true }

builder.objectFields('Flow', (t) => ({
  messages: t.connection(
    {
      type: 'Message',
      nullable: true,
      calls: pageCalls,
      listSize: 30,
      description: 'Its messages, oldest first; `last: 30` unless said otherwise.',
      args: { filter: t.arg({ type: MessageFilterInput, description: 'Which of them.' }) },
      resolve: messages.flowMessages,
    },
    MessageConnection,
  ),
  message: t.field({
    type: 'Message',
    nullable: true,
    calls: { each: 1 },
    description: 'One of its messages; null when there is none.',
    args: { databaseId: t.arg.int({ required: true, description: 'Its number in the flow.' }) },
    resolve: messages.flowMessage,
  }),
}))

builder.objectField('PrivateConversation', 'messages', (t) =>
  t.connection(
    {
      type: 'Message',
      nullable: true,
      calls: { each: 2, withArgument: { name: 'filter', each: 11 }, isPage: true },
      listSize: 30,
      description: 'Its messages, oldest first; `last: 30` unless said otherwise.',
      args: { filter: t.arg({ type: MessageFilterInput, description: 'Which of them.' }) },
      resolve: messages.conversationMessages,
    },
    MessageConnection,
  ),
)

builder.objectField('Thread', 'messages', (t) =>
  t.connection(
    {
      type: 'Message',
      nullable: true,
      calls: pageCalls,
      listSize: 30,
      description: 'Its messages, oldest first; `last: 30` unless said otherwise.',
      args: { filter: t.arg({ type: MessageFilterInput, description: 'Which of them.' }) },
      resolve: messages.threadMessages,
    },
    MessageConnection,
  ),
)

const SendMessagePayload = mutationPayload<{ message: Message }>('SendMessagePayload', {
  description: 'A message was stored.',
  fields: (t) => ({
    sentMessage: t.field({
      type: 'Message',
      description: 'The message.',
      resolve: (payload) => payload.message,
    }),
  }),
})

const CommentPayload = mutationPayload<{ message: Message }>('CommentPayload', {
  description: 'A comment was stored.',
  fields: (t) => ({
    postedComment: t.field({
      type: 'Message',
      description: 'The comment.',
      resolve: (payload) => payload.message,
    }),
  }),
})

const CommentInput = mutationInput('CommentInput', {
  description: 'A comment on a message of a flow.',
  fields: (t) => ({
    messageId: t.id({
      required: true,
      description: 'The global id of the message, which must not be a comment itself.',
    }),
    content: t.string({ required: true, description: 'The text, at most 8,096 characters.' }),
    tags: t.stringList({ description: 'Tags beside those in the text: `release`, `#release`, `@Ada`.' }),
    uuid: t.string({
      description: 'An id that you choose. A request that repeats it makes no second comment.',
    }),
  }),
})

const SetStatusPayload = mutationPayload<{ message: Message }>('SetStatusPayload', {
  description: 'Your status in a flow was changed.',
  fields: (t) => ({
    statusMessage: t.field({
      type: 'Message',
      description: 'The message that announces the status in the flow.',
      resolve: (payload) => payload.message,
    }),
  }),
})

const SetStatusInput = mutationInput('SetStatusInput', {
  description: 'Your new status in a flow.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
    content: t.string({ required: true, description: 'The status, at most 8,096 characters.' }),
    uuid: t.string({
      description: 'An id that you choose. A request that repeats it makes no second message.',
    }),
  }),
})

const EditMessagePayload = mutationPayload<{ message: Message }>('EditMessagePayload', {
  description: 'A message was changed.',
  fields: (t) => ({
    editedMessage: t.field({
      type: 'Message',
      description: 'The message as it is now.',
      resolve: (payload) => payload.message,
    }),
  }),
})

const DeleteMessagePayload = mutationPayload<{ messageId: string; message: Message | null }>(
  'DeleteMessagePayload',
  {
    description: 'A message was deleted.',
    fields: (t) => ({
      deletedMessageId: t.id({ description: 'Its global id.', resolve: (payload) => payload.messageId }),
      remainingMessage: t.field({
        type: 'Message',
        nullable: true,
        description: 'What is left of it: chat messages stay with blank content; null for what is gone.',
        resolve: (payload) => payload.message,
      }),
    }),
  },
)

const SetTagsPayload = mutationPayload<{ message: Message }>('SetTagsPayload', {
  description: 'The tags of a message are as wanted.',
  fields: (t) => ({
    taggedMessage: t.field({
      type: 'Message',
      description: 'The message as it is now.',
      resolve: (payload) => payload.message,
    }),
  }),
})

const SendMessageInput = mutationInput('SendMessageInput', {
  description: 'A message to send: to a flow, to a thread, or to somebody.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', description: 'The flow; a new thread begins.' }),
    threadId: t.id({ description: 'The global id of the thread to answer in.' }),
    userId: t.id({ description: 'The global id of whom to write to in private.' }),
    content: t.string({ required: true, description: 'The text, at most 8,096 characters.' }),
    tags: t.stringList({
      required: false,
      description: 'Tags beside those in the text: `release`, `#release`, `@Ada`.',
    }),
    uuid: t.string({
      description: 'An id of your own making. Sending again with the same one makes no second message.',
    }),
    externalUserName: t.string({
      description:
        'A name to show with it; without whitespace. It appears as `externalUserName`; you stay the `author`. Clients of the REST API see the name and, in `sent_by`, you.',
    }),
  }),
})

const EditMessageInput = mutationInput('EditMessageInput', {
  description: 'New content for a message of yours.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: 'The global id of the message.' }),
    content: t.string({ required: true, description: 'The new text, at most 8,096 characters.' }),
    tags: t.stringList({
      description: 'All its tags from now on; unless given, those of the new text replace those of the old.',
    }),
  }),
})

const DeleteMessageInput = mutationInput('DeleteMessageInput', {
  description: 'A message to delete.',
  fields: (t) => ({ messageId: t.id({ required: true, description: 'The global id of the message.' }) }),
})

const ReactionPayload = mutationPayload<{ message: Message }>('ReactionPayload', {
  description: 'The reactions to a message are as wanted.',
  fields: (t) => ({
    reactedMessage: t.field({
      type: 'Message',
      description: 'The message as it is now.',
      resolve: (payload) => payload.message,
    }),
  }),
})

const AddReactionInput = mutationInput('AddReactionInput', {
  description: 'A message, and an emoji to react with.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: 'The global id of the message.' }),
    emoji: t.string({ required: true, description: 'The name of an emoji, such as `thumbsup`.' }),
  }),
})

const RemoveReactionInput = mutationInput('RemoveReactionInput', {
  description: 'A message, and an emoji of yours to remove from it.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: 'The global id of the message.' }),
    emoji: t.string({ required: true, description: 'The name of an emoji, such as `thumbsup`.' }),
  }),
})

const SetTypingPayload = mutationPayload<{ isTold: boolean }>('SetTypingPayload', {
  description: 'Others know that you type.',
  fields: (t) => ({
    isTold: t.exposeBoolean('isTold', { description: 'Always true: who listens was told.' }),
  }),
})

const SetTypingInput = mutationInput('SetTypingInput', {
  description: 'Where you type: in a flow, in a thread, or to somebody.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', description: 'The flow.' }),
    threadId: t.id({ description: 'The global id of the thread.' }),
    userId: t.id({ description: 'The global id of whom you write to in private.' }),
  }),
})

const MoveMessageToThreadInput = mutationInput('MoveMessageToThreadInput', {
  description: 'A message, and the thread it belongs to.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: 'The global id of the message.' }),
    threadId: t.id({ description: 'The global id of the thread; one of its own unless given.' }),
  }),
})

const MoveMessagePayload = mutationPayload<{ message: Message }>('MoveMessagePayload', {
  description: 'A message is in another thread.',
  fields: (t) => ({
    movedMessage: t.field({
      type: 'Message',
      description: 'The message as it is now.',
      resolve: (payload) => payload.message,
    }),
  }),
})

const SetTagsInput = mutationInput('SetTagsInput', {
  description: 'A message, and all the tags that it has from now on.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: 'The global id of the message.' }),
    tags: t.stringList({ required: true, description: 'The tags: `release`, `#release`, `@Ada`.' }),
  }),
})

const AddTagsInput = mutationInput('AddTagsInput', {
  description: 'A message, and tags to add to it.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: 'The global id of the message.' }),
    tags: t.stringList({ required: true, description: 'The tags to add: `release`, `#release`, `@Ada`.' }),
  }),
})

const RemoveTagsInput = mutationInput('RemoveTagsInput', {
  description: 'A message, and tags to remove from it.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: 'The global id of the message.' }),
    tags: t.stringList({ required: true, description: 'The tags to remove: `release`, `#release`, `@Ada`.' }),
  }),
})

builder.mutationFields((t) => ({
  sendMessage: t.field({
    type: SendMessagePayload,
    description: 'Sends a message and answers once it is stored.',
    args: { input: t.arg({ type: SendMessageInput, required: true, description: 'The message.' }) },
    errors: mutationResult('SendMessageResult', 'The stored message, or why there is none.'),
    resolve: messages.sendMessage,
  }),
  comment: t.field({
    type: CommentPayload,
    description: 'Comments on a message of a flow. Replies in a thread are sent by `sendMessage`.',
    args: { input: t.arg({ type: CommentInput, required: true, description: 'The comment.' }) },
    errors: mutationResult('CommentResult', 'The comment, or why there is none.'),
    resolve: messages.comment,
  }),
  setStatus: t.field({
    type: SetStatusPayload,
    description: 'Sets your status in a flow: it appears as a message, and as `FlowUser.status`.',
    args: { input: t.arg({ type: SetStatusInput, required: true, description: 'The status.' }) },
    errors: mutationResult('SetStatusResult', 'The message, or why the status is unchanged.'),
    resolve: messages.setStatus,
  }),
  editMessage: t.field({
    type: EditMessagePayload,
    description: 'Changes the content of a message or comment of yours.',
    args: { input: t.arg({ type: EditMessageInput, required: true, description: 'The change.' }) },
    errors: mutationResult('EditMessageResult', 'The changed message, or why it is as it was.'),
    resolve: messages.editMessage,
  }),
  deleteMessage: t.field({
    type: DeleteMessagePayload,
    description:
      'Deletes a message: one of yours, or what an integration posted. Chat messages stay with blank content.',
    args: { input: t.arg({ type: DeleteMessageInput, required: true, description: 'Which one.' }) },
    errors: mutationResult('DeleteMessageResult', 'What is left of the message, or why it is as it was.'),
    resolve: messages.deleteMessage,
  }),
  setTags: t.field({
    type: SetTagsPayload,
    description:
      'Replaces all tags of a message, anybody’s. The ones beginning with ":" go too, unless given.',
    args: { input: t.arg({ type: SetTagsInput, required: true, description: 'The message and its tags.' }) },
    errors: mutationResult('SetTagsResult', 'The message, or why it is as it was.'),
    resolve: messages.setTags,
  }),
  addTags: t.field({
    type: SetTagsPayload,
    description: 'Adds tags to a message, anybody’s.',
    args: { input: t.arg({ type: AddTagsInput, required: true, description: 'The message and the tags.' }) },
    errors: mutationResult('AddTagsResult', 'The message, or why it is as it was.'),
    resolve: messages.addTags,
  }),
  addReaction: t.field({
    type: ReactionPayload,
    description: 'Answers a message with an emoji.',
    args: {
      input: t.arg({ type: AddReactionInput, required: true, description: 'The message and the emoji.' }),
    },
    errors: mutationResult('AddReactionResult', 'The message, or why it is as it was.'),
    resolve: messages.addReaction,
  }),
  removeReaction: t.field({
    type: ReactionPayload,
    description: 'Takes an emoji of yours back. Needs the capability `REMOVE_REACTION`.',
    args: {
      input: t.arg({ type: RemoveReactionInput, required: true, description: 'The message and the emoji.' }),
    },
    errors: mutationResult('RemoveReactionResult', 'The message, or why it is as it was.'),
    resolve: messages.removeReaction,
  }),
  setTyping: t.field({
    type: SetTypingPayload,
    description:
      'Says that you type. It is kept nowhere; say it again while you do. Needs the capability `TYPING`.',
    args: { input: t.arg({ type: SetTypingInput, required: true, description: 'Where.' }) },
    errors: mutationResult('SetTypingResult', 'That others know, or why they do not.'),
    resolve: messages.setTyping,
  }),
  moveMessageToThread: t.field({
    type: MoveMessagePayload,
    description: 'Moves a message to another thread of its flow. Needs the capability `MOVE_MESSAGE`.',
    args: {
      input: t.arg({ type: MoveMessageToThreadInput, required: true, description: 'What goes where.' }),
    },
    errors: mutationResult('MoveMessageResult', 'The message, or why it is where it was.'),
    resolve: messages.moveMessageToThread,
  }),
  removeTags: t.field({
    type: SetTagsPayload,
    description: 'Takes tags off a message, anybody’s.',
    args: {
      input: t.arg({ type: RemoveTagsInput, required: true, description: 'The message and the tags.' }),
    },
    errors: mutationResult('RemoveTagsResult', 'The message, or why it is as it was.'),
    resolve: messages.removeTags,
  }),
}))
