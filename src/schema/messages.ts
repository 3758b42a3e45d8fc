import { decoded } from '../resolvers/decoded.ts'

import * as messageText from '../resolvers/message-text.ts'

import * as messages from '../resolvers/messages.ts'
import type { MailAddress, Message, MessageKind } from '../upstream/flowdock/model.ts'
import { builder, type InputFields, nullable } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

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
  description: 'A message or an event in a flow or a private conversation.',
  interfaces: [builder.nodeInterfaceRef()],
  resolveType: (message) => message.kind,
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: messages.id }),
    databaseId: t.exposeInt('id', {
      description:
        'The number of the message in its flow or conversation. Newer messages have greater numbers.',
    }),
    event: t.exposeString('event', {
      description: 'The kind of message in the upstream’s words, such as `message` or `comment`.',
    }),
    tags: t.exposeStringList('tags', {
      description:
        'The tags: hashtags without `#`, and marks of the upstream, such as `:user:7` for a mention of user 7 and `:url` for a link.',
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
        'The message as plain text, with emoji as characters. For a file it is the name, for a message of an integration the title and body, each cut at 16,384 characters. Empty for service messages such as joins.',
      resolve: messageText.text,
    }),
    html: t.string({
      description:
        'The message as HTML that is safe to insert into a page: with links, without images, styles or scripts. Titles and bodies are cut at 16,384 characters.',
      resolve: messageText.html,
    }),
    uuid: t.exposeString('uuid', {
      nullable: true,
      description:
        'The id that the sender chose. A request that repeats it makes no second message. Null when the sender gave none.',
    }),
    author: t.field({
      type: 'Author',
      nullable: true,
      calls: { once: ['users'] },
      sharing: 'same',
      description:
        'The user or integration that sent the message, whatever `externalUserName` says. Null when the upstream names no author, or one whom you cannot see.',
      resolve: messages.author,
    }),
    externalUserName: t.exposeString('externalUserName', {
      nullable: true,
      description:
        'The name that the sender chose to show. It is not verified: show it with `author`, not instead of it. Null when the sender chose none.',
    }),
    sentAt: t.field({
      type: 'DateTime',
      description: 'The time when the message was sent.',
      resolve: (message) => message.sentAt,
    }),
    editedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The time of the last edit. Null when the message was not edited.',
      resolve: (message) => message.editedAt,
    }),
    url: t.string({
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description: 'The URL in the REST API. Null when you cannot see the flow.',
      resolve: messages.url,
    }),
    webUrl: t.string({
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description:
        'The URL of a web page that explains how to read the message. Null when you cannot see the flow.',
      resolve: messages.webUrl,
    }),
    externalUrl: t.exposeString('externalUrl', {
      nullable: true,
      description:
        'The URL of a page about the message at the service of the integration. Null when there is none.',
    }),
    attachments: t.field({
      type: ['File'],
      listSize: 1,
      description: 'The attached files, including the file of a `FileMessage`.',
      resolve: (message) => [...message.attachments],
    }),
    reactions: t.field({
      type: ['Reaction'],
      listSize: 1,
      description: 'The emoji reactions to the message.',
      resolve: (message) => [...message.reactions],
    }),
    viewerCanEdit: t.boolean({
      calls: { once: ['viewer'] },
      sharing: 'viewer',
      description: 'Whether you may edit the message.',
      resolve: messages.viewerCanEdit,
    }),
    viewerCanDelete: t.boolean({
      calls: { once: ['viewer'] },
      sharing: 'viewer',
      description: 'Whether you may delete the message.',
      resolve: messages.viewerCanDelete,
    }),
    thread: t.field({
      type: 'Thread',
      nullable: true,
      sharing: 'same',
      description: 'The thread of the message. Null for service messages such as joins.',
      resolve: messages.thread,
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
      sharing: 'same',
      description: 'The flow of the message. Null for a private message, and when you cannot see the flow.',
      resolve: messages.flow,
    }),
    conversation: t.field({
      type: 'PrivateConversation',
      nullable: true,
      description: 'The private conversation of the message. Null for a message of a flow.',
      resolve: messages.conversation,
    }),
  }),
})

builder.objectType('Reaction', {
  sharing: 'same',
  description: 'An emoji, and the users who reacted with it.',
  fields: (t) => ({
    emoji: t.exposeString('emoji', { description: 'The name of the emoji, such as `thumbsup`.' }),
    count: t.int({
      description: 'The number of users who reacted with the emoji.',
      resolve: ({ userIds }) => userIds.length,
    }),
    users: t.connection(
      {
        type: 'User',
        nullable: true,
        calls: { once: ['users'] },
        listSize: 100,
        description:
          'The users who reacted with the emoji and whom you can see, ordered by number; `first: 100` by default. Null when they cannot be read.',
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
  description: 'A chat message of a user.',
  fields: (t) => ({
    content: t.exposeString('content', { description: 'The text. Blank after the message was deleted.' }),
  }),
})

builder.objectType('Comment', {
  ...kind,
  description: 'A comment on one message: the older form of a reply in a thread.',
  fields: (t) => ({
    content: t.exposeString('content', { description: 'The text. Blank after the message was deleted.' }),
    title: t.exposeString('title', nullable('The title of the commented message. Null when it has none.')),
    parent: t.field({
      type: 'Message',
      nullable: true,
      calls: { each: 1 },
      sharing: 'same',
      description: 'The commented message. Null when it was deleted.',
      resolve: messages.parent,
    }),
  }),
})

builder.objectType('StatusMessage', {
  ...kind,
  description: 'A status that a user set.',
  fields: (t) => ({ content: t.exposeString('content', { description: 'The status.' }) }),
})

builder.objectType('LineMessage', {
  ...kind,
  description: 'A message of a user in the third person, written with `/me`.',
  fields: (t) => ({ content: t.exposeString('content', { description: 'The text.' }) }),
})

builder.objectType('FileMessage', {
  ...kind,
  description: 'A file that a user posted.',
  fields: (t) => ({
    file: t.field({ type: 'File', description: 'The file.', resolve: (message) => message.file }),
  }),
})

builder.objectType('ActionMessage', {
  ...kind,
  description: 'A service message: a user joined, was added, blocked or invited, or changed the flow.',
  fields: (t) => ({
    action: t.exposeString('action', {
      nullable: true,
      description:
        'The action, such as `join`, `add_people`, `block`, `invite`, `decline`, `uninvite` or `add_rss_feed`. Null when the upstream does not say.',
    }),
    addedNicks: t.exposeStringList('addedNicks', {
      nullable: true,
      description: 'The nicknames of the added users. Null for actions other than `add_people`.',
    }),
    blockedUser: t.field({
      type: 'User',
      nullable: true,
      sharing: 'same',
      description:
        'The blocked user. Null for actions other than `block`, and for a user whom you cannot see.',
      resolve: messages.blockedUser,
    }),
    email: t.exposeString('email', {
      nullable: true,
      description:
        'The invited e-mail address. Null for actions other than `invite`, `decline` and `uninvite`.',
    }),
    term: t.exposeString('term', {
      nullable: true,
      description:
        'The URL of a feed, or the name or words that the flow follows. Null for actions without them.',
    }),
    details: t.field({
      type: 'JSON',
      description:
        'All data of the action as the upstream sent it, including actions that this API does not know.',
      resolve: (message) => message.details,
    }),
  }),
})

builder.objectType('TagChange', {
  ...kind,
  description: 'A change of the tags of a message.',
  fields: (t) => ({
    messageDatabaseId: t.exposeInt('messageId', { description: 'The number of the changed message.' }),
    added: t.exposeStringList('added', { description: 'The added tags.' }),
    removed: t.exposeStringList('removed', { description: 'The removed tags.' }),
  }),
})

builder.objectType('MessageEdit', {
  ...kind,
  description: 'An edit of a message.',
  fields: (t) => ({
    messageDatabaseId: t.exposeInt('messageId', { description: 'The number of the changed message.' }),
    content: t.exposeString('content', { description: 'The new text. Blank when the message was deleted.' }),
  }),
})

builder.objectType('MessageDelete', {
  ...kind,
  description: 'The deletion of a message.',
  fields: (t) => ({
    messageDatabaseId: t.exposeInt('messageId', { description: 'The number of the changed message.' }),
  }),
})

builder.objectType('Activity', {
  ...kind,
  description: 'An activity that an integration posted: something was done to an item.',
  fields: (t) => ({
    title: t.exposeString('title', {
      nullable: true,
      description: 'What was done. It may contain HTML links. Null when there is no title.',
    }),
    body: t.exposeString('body', nullable('A description, as HTML. Null when there is none.')),
  }),
})

builder.objectType('Discussion', {
  ...kind,
  description: 'A comment on an item that an integration posted.',
  fields: (t) => ({
    title: t.exposeString('title', {
      nullable: true,
      description: 'The title, which may contain HTML links. Null when there is none.',
    }),
    body: t.exposeString('body', nullable('The text of the comment, as HTML. Null when there is none.')),
  }),
})

const MailAddressType = builder.objectRef<MailAddress>('MailAddress').implement({
  sharing: 'same',
  description: 'The sender or a recipient of an e-mail.',
  fields: (t) => ({
    name: t.exposeString('name', { nullable: true, description: 'The name. Null when there is none.' }),
    address: t.exposeString('address', { description: 'The e-mail address.' }),
  }),
})

builder.objectType('MailMessage', {
  ...kind,
  description: 'An e-mail to the flow, or a message that an old integration pushed.',
  fields: (t) => ({
    subject: t.exposeString('subject', { description: 'The subject.' }),
    body: t.exposeString('body', nullable('The text, as HTML. Null when there is none.')),
    from: t.field({
      type: [MailAddressType],
      listSize: 1,
      description: 'The senders.',
      resolve: ({ from }) => [...from],
    }),
    to: t.field({
      type: [MailAddressType],
      listSize: 1,
      description: 'The recipients.',
      resolve: ({ to }) => [...to],
    }),
    cc: t.field({
      type: [MailAddressType],
      listSize: 1,
      description: 'The recipients of copies.',
      resolve: ({ cc }) => [...cc],
    }),
    replyTo: t.exposeStringList('replyTo', { description: 'The e-mail addresses for replies.' }),
    sourceName: t.exposeString('source', {
      nullable: true,
      description: 'The name of the integration that pushed the message. Null for an e-mail.',
    }),
    project: t.exposeString('project', {
      nullable: true,
      description: 'The project that the integration named. Null when it named none.',
    }),
    link: t.exposeString('link', nullable('The URL of a page about the message. Null when there is none.')),
  }),
})

builder.objectType('UnknownMessage', {
  ...kind,
  description: 'A message of a kind that this API has no type for.',
  fields: (t) => ({
    raw: t.field({
      type: 'JSON',
      description: 'The whole message, as the upstream sent it.',
      resolve: (message) => message.raw,
    }),
  }),
})

builder.objectType('File', {
  sharing: 'same',
  description: 'A file of a message.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The file name.' }),
    contentType: t.exposeString('contentType', { description: 'The media type, such as `image/png`.' }),
    byteSize: t.exposeInt('byteSize', { description: 'The size in bytes.' }),
    width: t.exposeInt('width', nullable('The size of an image in pixels. Null for other files.')),
    height: t.exposeInt('height', nullable('The size of an image in pixels. Null for other files.')),
    contentId: t.exposeString('contentId', {
      nullable: true,
      description:
        'The content id, by which the body of the message refers to the file as `cid:…`. Null when the body does not.',
    }),
    path: t.exposeString('path', {
      description: 'The path in the REST API, which requires your credential.',
    }),
    url: t.string({
      description:
        'The path on this host from which the file can be downloaded without a credential, such as `/files/…/name.png`. It has your rights and expires after 15 minutes.',
      resolve: messages.fileUrl,
    }),
    thumbnail: t.field({
      type: 'Thumbnail',
      nullable: true,
      description: 'A small version of an image. Null for other files.',
      resolve: (file) => decoded(file.thumbnail),
    }),
  }),
})

builder.objectType('Thumbnail', {
  sharing: 'same',
  description: 'A small version of an image.',
  fields: (t) => ({
    width: t.exposeInt('width', { description: 'The size in pixels.' }),
    height: t.exposeInt('height', { description: 'The size in pixels.' }),
    url: t.string({
      description:
        'The path on this host from which the image can be downloaded without a credential. It has your rights and expires after 15 minutes.',
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
          'Whether this page is complete. Where the upstream cannot filter, a page is read from at most 1,000 messages; when that was not enough, its cursor continues after them.',
        resolve: (connection) => (connection as { isExhaustive?: boolean }).isExhaustive !== false,
      }),
    }),
  },
  { name: 'MessageEdge' },
)

const kindName = <Kind extends MessageKind>(value: Kind, description: string) => ({ value, description })

const MessageKindName = builder.enumType('MessageKind', {
  description: 'The kinds of messages for filters.',
  values: {
    CHAT: kindName('ChatMessage', 'A chat message of a user.'),
    COMMENT: kindName('Comment', 'A comment on one message.'),
    STATUS: kindName('StatusMessage', 'A status that a user set.'),
    LINE: kindName('LineMessage', 'A message in the third person, written with `/me`.'),
    FILE: kindName('FileMessage', 'A file.'),
    ACTION: kindName('ActionMessage', 'A service message, such as a join.'),
    TAG_CHANGE: kindName('TagChange', 'A change of tags.'),
    MESSAGE_EDIT: kindName('MessageEdit', 'An edit of a message.'),
    MESSAGE_DELETE: kindName('MessageDelete', 'The deletion of a message.'),
    ACTIVITY: kindName('Activity', 'An activity of an integration.'),
    DISCUSSION: kindName('Discussion', 'A comment of an integration.'),
    MAIL: kindName('MailMessage', 'An e-mail to the flow.'),
    RSS: kindName('RssMessage', 'An entry of an RSS feed.'),
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

const commonFilterFields = (t: InputFields) => ({
  kinds: t.field({ type: [MessageKindName], description: 'The kind of the message is one of these.' }),
  text: t.string({ description: 'The message contains all these words: whole words, ignoring case.' }),
  tags: t.stringList({
    description: 'The message has these tags, such as `release`. Lists also match `@Ada`.',
  }),
  tagMode: t.field({
    type: 'TagMode',
    required: true,
    defaultValue: 'all',
    description: 'Whether all tags must match.',
  }),
  authorIds: t.idList({ description: 'The author is one of the users with these global ids.' }),
  mentionIds: t.idList({ description: 'The message mentions one of the users with these global ids.' }),
  hasFile: t.boolean({ description: 'Whether the message has a file.' }),
  hasLink: t.boolean({ description: 'Whether the message has a link.' }),
  threadId: t.id({
    description: 'The message is in the thread with this global id. A list must be of the same flow.',
  }),
})

const MessageFilterInput = builder.inputType('MessageFilter', {
  description:
    'The messages to list. A message must match every field that is given. With `text` or `tags`, a list is read from the newest match by `last` and `before`.',
  fields: (t) => ({
    ...commonFilterFields(t),
    since: t.field({ type: 'DateTime', description: 'The message was sent at this time or later.' }),
    until: t.field({ type: 'DateTime', description: 'The message was sent before this time.' }),
    sinceMessageId: t.id({
      description:
        'The message was sent after the message with this global id, in the same flow or conversation.',
    }),
    untilMessageId: t.id({
      description:
        'The message was sent before the message with this global id, in the same flow or conversation.',
    }),
  }),
})

builder.inputType('LiveMessageFilter', {
  description: 'The new messages to deliver. A message must match every field that is given.',
  fields: (t) => ({
    ...commonFilterFields(t),
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
      description: 'The messages, oldest first; `last: 30` by default. Null when they cannot be read.',
      args: {
        filter: t.arg({ type: MessageFilterInput, description: 'The messages to list; all by default.' }),
      },
      resolve: messages.flowMessages,
    },
    MessageConnection,
  ),
  message: t.field({
    type: 'Message',
    nullable: true,
    calls: { each: 1 },
    description: 'One message of the flow. Null when it does not exist.',
    args: {
      databaseId: t.arg.int({ required: true, description: 'The number of the message in the flow.' }),
    },
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
      description: 'The messages, oldest first; `last: 30` by default. Null when they cannot be read.',
      args: {
        filter: t.arg({ type: MessageFilterInput, description: 'The messages to list; all by default.' }),
      },
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
      description: 'The messages, oldest first; `last: 30` by default. Null when they cannot be read.',
      args: {
        filter: t.arg({ type: MessageFilterInput, description: 'The messages to list; all by default.' }),
      },
      resolve: messages.threadMessages,
    },
    MessageConnection,
  ),
)

const messagePayload = (name: string, description: string, field: string, fieldDescription: string) =>
  mutationPayload<{ message: Message }>(name, {
    description,
    fields: (t) => ({
      [field]: t.field({
        type: 'Message',
        description: fieldDescription,
        resolve: (payload) => payload.message,
      }),
    }),
  })

const SendMessagePayload = messagePayload(
  'SendMessagePayload',
  'The result of a sent message.',
  'sentMessage',
  'The message.',
)

const CommentPayload = messagePayload(
  'CommentPayload',
  'The result of a posted comment.',
  'sentMessage',
  'The comment.',
)

const SetStatusPayload = messagePayload(
  'SetStatusPayload',
  'The result of a changed status.',
  'sentMessage',
  'The message that announces the status in the flow.',
)

const EditMessagePayload = messagePayload(
  'EditMessagePayload',
  'The result of an edited message.',
  'editedMessage',
  'The message after the change.',
)

const DeleteMessagePayload = mutationPayload<{ messageId: string; message: Message | null }>(
  'DeleteMessagePayload',
  {
    description: 'The result of a deleted message.',
    fields: (t) => ({
      deletedMessageId: t.id({
        description: 'The global id of the deleted message.',
        resolve: (payload) => payload.messageId,
      }),
      remainingMessage: t.field({
        type: 'Message',
        nullable: true,
        description:
          'The message after its deletion: chat messages and comments stay, with blank content. Null when the message no longer exists.',
        resolve: (payload) => payload.message,
      }),
    }),
  },
)

const SetTagsPayload = messagePayload(
  'SetTagsPayload',
  'The result of changed tags.',
  'taggedMessage',
  'The message after the change.',
)

const ReactionPayload = messagePayload(
  'ReactionPayload',
  'The result of a changed reaction.',
  'reactedMessage',
  'The message after the change.',
)

const SetTypingPayload = mutationPayload<{ isDelivered: boolean }>('SetTypingPayload', {
  description: 'The result of a typing notification.',
  fields: (t) => ({
    isDelivered: t.exposeBoolean('isDelivered', {
      description: 'Always true. Subscribers of `userTyping` have been notified.',
    }),
  }),
})

const MoveMessagePayload = messagePayload(
  'MoveMessagePayload',
  'The result of a moved message.',
  'movedMessage',
  'The message after the change.',
)

mutation('sendMessage', {
  description: 'Sends a message. The result is returned after the message was stored.',
  input: mutationInput('SendMessageInput', {
    description: 'The message to send. Give exactly one of `flow`, `threadId` and `userId`.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', description: 'Send to this flow, in a new thread.' }),
      threadId: t.id({ description: 'Reply in the thread with this global id.' }),
      userId: t.id({ description: 'Send privately to the user with this global id.' }),
      content: t.string({ required: true, description: 'The text, at most 8,096 characters.' }),
      tags: t.stringList({
        required: false,
        description: 'Tags in addition to those in the text, such as `release`, `#release` or `@Ada`.',
      }),
      uuid: t.string({
        description: 'An id that you choose. A request that repeats it makes no second message.',
      }),
      externalUserName: t.string({
        description:
          'A name to show with the message, without whitespace. It appears as `externalUserName`; you stay the `author`. Clients of the REST API see the name, and your user in `sent_by`.',
      }),
    }),
  }),
  payload: SendMessagePayload,
  resolve: messages.sendMessage,
})

mutation('comment', {
  description: 'Comments on a message of a flow. Replies in a thread are sent by `sendMessage`.',
  input: mutationInput('CommentInput', {
    description: 'The comment to post.',
    fields: (t) => ({
      messageId: t.id({
        required: true,
        description: 'The global id of the message, which must not be a comment itself.',
      }),
      content: t.string({ required: true, description: 'The text, at most 8,096 characters.' }),
      tags: t.stringList({
        description: 'Tags in addition to those in the text, such as `release`, `#release` or `@Ada`.',
      }),
      uuid: t.string({
        description: 'An id that you choose. A request that repeats it makes no second comment.',
      }),
    }),
  }),
  payload: CommentPayload,
  resolve: messages.comment,
})

mutation('setStatus', {
  description: 'Sets your status in a flow: it appears as a message, and as `FlowUser.status`.',
  input: mutationInput('SetStatusInput', {
    description: 'Your new status in a flow.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow.' }),
      content: t.string({ required: true, description: 'The status, at most 8,096 characters.' }),
      uuid: t.string({
        description: 'An id that you choose. A request that repeats it makes no second message.',
      }),
    }),
  }),
  payload: SetStatusPayload,
  resolve: messages.setStatus,
})

mutation('editMessage', {
  description: 'Changes the content of your own message or comment.',
  input: mutationInput('EditMessageInput', {
    description: 'The message to edit.',
    fields: (t) => ({
      messageId: t.id({ required: true, description: 'The global id of the message.' }),
      content: t.string({ required: true, description: 'The new text, at most 8,096 characters.' }),
      tags: t.stringList({
        description:
          'All tags of the message. By default, the tags in the new text replace those in the old text.',
      }),
    }),
  }),
  payload: EditMessagePayload,
  resolve: messages.editMessage,
})

mutation('deleteMessage', {
  description:
    'Deletes your own message, or a message of an integration. Chat messages and comments stay, with blank content.',
  input: mutationInput('DeleteMessageInput', {
    description: 'The message to delete.',
    fields: (t) => ({ messageId: t.id({ required: true, description: 'The global id of the message.' }) }),
  }),
  payload: DeleteMessagePayload,
  resolve: messages.deleteMessage,
})

mutation('setTags', {
  description:
    'Replaces all tags of a message, including those that begin with `:`. The message may be of any author.',
  input: mutationInput('SetTagsInput', {
    description: 'The tags to set.',
    fields: (t) => ({
      messageId: t.id({ required: true, description: 'The global id of the message.' }),
      tags: t.stringList({
        required: true,
        description: 'All tags of the message, such as `release`, `#release` or `@Ada`.',
      }),
    }),
  }),
  payload: SetTagsPayload,
  resolve: messages.setTags,
})

mutation('addTags', {
  description: 'Adds tags to a message of any author.',
  input: mutationInput('AddTagsInput', {
    description: 'The tags to add.',
    fields: (t) => ({
      messageId: t.id({ required: true, description: 'The global id of the message.' }),
      tags: t.stringList({
        required: true,
        description: 'The tags to add, such as `release`, `#release` or `@Ada`.',
      }),
    }),
  }),
  payload: SetTagsPayload,
  resolve: messages.addTags,
})

mutation('addReaction', {
  description: 'Adds your emoji reaction to a message.',
  input: mutationInput('AddReactionInput', {
    description: 'The reaction to add.',
    fields: (t) => ({
      messageId: t.id({ required: true, description: 'The global id of the message.' }),
      emoji: t.string({ required: true, description: 'The name of an emoji, such as `thumbsup`.' }),
    }),
  }),
  payload: ReactionPayload,
  resolve: messages.addReaction,
})

mutation('removeReaction', {
  description: 'Removes your emoji reaction from a message. Needs the capability `REMOVE_REACTION`.',
  input: mutationInput('RemoveReactionInput', {
    description: 'The reaction to remove.',
    fields: (t) => ({
      messageId: t.id({ required: true, description: 'The global id of the message.' }),
      emoji: t.string({ required: true, description: 'The name of an emoji, such as `thumbsup`.' }),
    }),
  }),
  payload: ReactionPayload,
  resolve: messages.removeReaction,
})

mutation('setTyping', {
  description:
    'Notifies other users that you are typing. The notification is not stored: repeat it while you type. Needs the capability `TYPING`.',
  input: mutationInput('SetTypingInput', {
    description: 'The place where you are typing. Give exactly one of `flow`, `threadId` and `userId`.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', description: 'The flow.' }),
      threadId: t.id({ description: 'The global id of the thread.' }),
      userId: t.id({ description: 'The global id of the user whom you write to privately.' }),
    }),
  }),
  payload: SetTypingPayload,
  resolve: messages.setTyping,
})

mutation('moveMessageToThread', {
  description: 'Moves a message to another thread of its flow. Needs the capability `MOVE_MESSAGE`.',
  input: mutationInput('MoveMessageToThreadInput', {
    description: 'The message to move.',
    fields: (t) => ({
      messageId: t.id({ required: true, description: 'The global id of the message.' }),
      threadId: t.id({
        description:
          'The global id of the thread to move to. By default, the message begins a thread of its own.',
      }),
    }),
  }),
  payload: MoveMessagePayload,
  resolve: messages.moveMessageToThread,
})

mutation('removeTags', {
  description: 'Removes tags from a message of any author.',
  input: mutationInput('RemoveTagsInput', {
    description: 'The tags to remove.',
    fields: (t) => ({
      messageId: t.id({ required: true, description: 'The global id of the message.' }),
      tags: t.stringList({
        required: true,
        description: 'The tags to remove, such as `release`, `#release` or `@Ada`.',
      }),
    }),
  }),
  payload: SetTagsPayload,
  resolve: messages.removeTags,
})
