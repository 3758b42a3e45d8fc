import * as flows from '../resolvers/flows.ts'
import { builder, selectedFields } from './builder.ts'

const FlowAccess = builder.enumType('FlowAccess', {
  description: 'Who can join a flow.',
  values: {
    INVITATION: { value: 'invitation', description: 'Users who are invited or added.' },
    LINK: { value: 'link', description: 'Users who have the `joinUrl`.' },
    ORGANIZATION: { value: 'organization', description: 'All users of the organization.' },
  } as const,
})

const FlowScope = builder.enumType('FlowScope', {
  description: 'The flows to list.',
  values: {
    JOINED: { value: 'joined', description: 'The flows that you have joined.' },
    ALL: { value: 'all', description: 'The flows that you have joined, and those that you can join.' },
  } as const,
})

builder.objectType('Flow', {
  description:
    'A chat room of an organization. It has messages in threads, and an inbox to which sources post.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ sharing: 'same', description: 'The global id.', resolve: flows.id }),
    databaseId: t.exposeID('id', { sharing: 'same', description: 'The id in the upstream.' }),
    name: t.exposeString('name', { sharing: 'same', description: 'The display name.' }),
    slug: t.exposeString('slug', { sharing: 'same', description: 'The part of URLs that names the flow.' }),
    path: t.exposeString('path', {
      sharing: 'same',
      description: 'The slugs of the organization and of the flow: `example/main`.',
    }),
    description: t.exposeString('description', {
      nullable: true,
      sharing: 'same',
      description: 'The purpose of the flow, as its members describe it. Null when it has no description.',
    }),
    email: t.exposeString('email', {
      nullable: true,
      description:
        'The e-mail address of the flow: mail to it is posted to the inbox. Null when the flow has none.',
    }),
    access: t.field({
      type: FlowAccess,
      description: 'Who can join the flow.',
      resolve: (flow) => flow.accessMode,
    }),
    isOpen: t.exposeBoolean('isOpen', { description: 'Whether the flow is open in your list of flows.' }),
    disabled: t.exposeBoolean('isDisabled', {
      nullable: true,
      description:
        'Whether the flow is archived: its messages stay, but no one can post to it or join it. Null when the upstream does not say.',
    }),
    viewerIsMember: t.exposeBoolean('isJoined', { description: 'Whether you have joined the flow.' }),
    viewerIsAdmin: t.exposeBoolean('isAdmin', {
      nullable: true,
      description: 'Whether you are an administrator of the flow. Null when the upstream does not say.',
    }),
    unreadMentions: t.int({
      nullable: true,
      description: 'The number of unread messages that mention you. Null when the upstream does not say.',
      resolve: flows.unreadMentions,
    }),
    lastMessageAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'The time of the newest message. Null when the flow has none or the upstream does not say.',
      resolve: flows.lastMessageAt,
    }),
    lastMessageId: t.id({
      nullable: true,
      description:
        'The global id of the newest message. Null when the flow has none or the upstream does not say.',
      resolve: flows.lastMessageId,
    }),
    teamNotifications: t.exposeBoolean('teamNotifications', {
      nullable: true,
      description: 'Whether messages with `@team` notify you. Null when the upstream does not say.',
    }),
    pushToken: t.string({
      nullable: true,
      description:
        'The secret with which integrations push to the flow. They can post under any name with it, so only administrators see it; null for others. It is replaced when a user is removed or blocked.',
      resolve: flows.pushToken,
    }),
    joinUrl: t.string({
      nullable: true,
      description:
        'The URL with which users can join the flow while `access` is `LINK`. It is replaced when a user is removed or blocked. Null for applications without the scope `manage`, and when the flow has none.',
      resolve: flows.joinUrl,
    }),
    url: t.exposeString('url', {
      nullable: true,
      sharing: 'same',
      description: 'The URL in the REST API. Null when the upstream gives none.',
    }),
    webUrl: t.exposeString('webUrl', {
      nullable: true,
      sharing: 'same',
      description:
        'The URL of a web page that explains how to read the flow. Null when the upstream gives none.',
    }),
    organization: t.field({
      type: 'Organization',
      sharing: 'same',
      description: 'The organization that owns the flow.',
      resolve: (flow) => flow.organization,
    }),
    users: t.connection(
      {
        type: 'FlowUser',
        nullable: true,
        calls: { batch: 'flow users' },
        listSize: 100,
        description: 'The members of the flow, ordered by the number of the user; `first: 100` by default.',
        resolve: flows.users,
      },
      { name: 'FlowUserConnection' },
      { name: 'FlowUserEdge' },
    ),
  }),
})

builder.objectType('FlowUser', {
  description: 'A member of a flow.',
  fields: (t) => ({
    user: t.field({ type: 'User', description: 'The user.', resolve: (member) => member.user }),
    status: t.exposeString('status', {
      nullable: true,
      description: 'The status message of the user in the flow, set by `setStatus`. Null when there is none.',
    }),
    isBlocked: t.exposeBoolean('isBlocked', {
      description: 'Whether the user is blocked: a blocked user cannot read the flow or post to it.',
    }),
    lastActivityAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'The time of the last activity of the user in the flow. Null when there was none or the upstream does not say.',
      resolve: (member) => member.lastActivityAt,
    }),
    lastPingAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'The time of the last ping from a client of the user. Null when there was none or the upstream does not say.',
      resolve: (member) => member.lastPingAt,
    }),
  }),
})

builder.inputType('FlowBy', {
  description: 'A flow, by exactly one of these fields.',
  isOneOf: true,
  fields: (t) => ({
    id: t.id({ description: 'The global id.' }),
    databaseId: t.id({ description: 'The id in the upstream.' }),
    path: t.string({ description: 'The slugs of the organization and of the flow: `example/main`.' }),
    url: t.string({ description: 'The URL of the flow in the REST API or on the web.' }),
  }),
})

builder.queryFields((t) => ({
  flows: t.connection(
    {
      type: 'Flow',
      calls: { each: 1 },
      listSize: 100,
      description: 'Flows, ordered by path; `first: 100` by default.',
      args: {
        scope: t.arg({
          type: FlowScope,
          required: true,
          defaultValue: 'joined',
          description: 'Whether to list only the flows that you have joined.',
        }),
      },
      resolve: flows.flows,
    },
    { name: 'FlowConnection' },
    { name: 'FlowEdge' },
  ),
  flow: t.field({
    type: 'Flow',
    nullable: true,
    calls: { batch: 'flows' },
    description: 'One flow. Null when it does not exist or you cannot see it.',
    args: { by: t.arg({ type: 'FlowBy', required: true, description: 'The flow to read.' }) },
    resolve: (root, args, context, info) =>
      flows.flow(root, args, context, () => selectedFields(info, 'messages')),
  }),
}))
