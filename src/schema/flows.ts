import * as flows from '../resolvers/flows.ts'
import { builder, selectedArguments } from './builder.ts'

const FlowAccess = builder.enumType('FlowAccess', {
  description: 'How people come into a flow.',
  values: {
    INVITATION: { value: 'invitation', description: 'Only when invited or added.' },
    LINK: { value: 'link', description: 'Whoever has the join address.' },
    ORGANIZATION: { value: 'organization', description: 'Everybody in the organization.' },
  } as const,
})

const FlowScope = builder.enumType('FlowScope', {
  description: 'Which flows to list.',
  values: {
    JOINED: { value: 'joined', description: 'Those you are a member of.' },
    ALL: { value: 'all', description: 'Those you are a member of and those you could join.' },
  } as const,
})

builder.objectType('Flow', {
  description: 'A place where a team talks: messages in threads, and what integrations post.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ sharing: 'same', description: 'The global id.', resolve: flows.id }),
    databaseId: t.exposeID('id', { sharing: 'same', description: 'The id the upstream knows it by.' }),
    name: t.exposeString('name', { sharing: 'same', description: 'The name people see.' }),
    slug: t.exposeString('slug', { sharing: 'same', description: 'The name in addresses.' }),
    path: t.exposeString('path', {
      sharing: 'same',
      description: 'Organization and slug, as in addresses: `example/main`.',
    }),
    description: t.exposeString('description', {
      nullable: true,
      sharing: 'same',
      description: 'What it is for.',
    }),
    email: t.exposeString('email', {
      nullable: true,
      description: 'Mail to this address appears in the flow.',
    }),
    access: t.field({
      type: FlowAccess,
      description: 'How people come into it.',
      resolve: (flow) => flow.accessMode,
    }),
    isOpen: t.exposeBoolean('isOpen', { description: 'Whether you keep a tab open for it.' }),
    disabled: t.exposeBoolean('isDisabled', {
      nullable: true,
      description:
        'Whether the flow is archived: nobody can write to it or join it. Null where the upstream does not say.',
    }),
    viewerIsMember: t.exposeBoolean('isJoined', { description: 'Whether you are a member.' }),
    viewerIsAdmin: t.exposeBoolean('isAdmin', {
      nullable: true,
      description: 'Whether you administer it; null where the upstream does not say.',
    }),
    unreadMentions: t.exposeInt('unreadMentions', {
      nullable: true,
      description: 'How many messages mention you that you have not read.',
    }),
    lastMessageAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the newest message was sent.',
      resolve: (flow) => flow.lastMessageAt,
    }),
    lastMessageId: t.id({
      nullable: true,
      description: 'The global id of its newest message, for `node`.',
      resolve: flows.lastMessageId,
    }),
    teamNotifications: t.exposeBoolean('teamNotifications', {
      nullable: true,
      description: 'Whether `@team` notifies you; null where the upstream does not say.',
    }),
    pushToken: t.exposeString('pushToken', {
      nullable: true,
      description:
        'The secret that old integrations push with. It posts under any name, so only administrators see it. Removing or blocking a user replaces it.',
    }),
    joinUrl: t.exposeString('joinUrl', {
      nullable: true,
      description:
        'The URL by which others can join, if the access allows it; in a browser it says how. Removing or blocking a user replaces it. Null for applications without the scope `manage`.',
    }),
    url: t.exposeString('url', { nullable: true, sharing: 'same', description: 'The URL in the REST API.' }),
    webUrl: t.exposeString('webUrl', {
      nullable: true,
      sharing: 'same',
      description: 'The URL of a web page that says how to read the flow.',
    }),
    organization: t.field({
      type: 'Organization',
      description: 'Whose it is.',
      resolve: (flow) => flow.organization,
    }),
    users: t.connection(
      {
        type: 'FlowUser',
        nullable: true,
        calls: { batch: 'flow users' },
        listSize: 100,
        description: 'Its members, by id.',
        resolve: flows.users,
      },
      { name: 'FlowUserConnection' },
      { name: 'FlowUserEdge' },
    ),
  }),
})

builder.objectType('FlowUser', {
  description: 'A user as a member of a flow.',
  fields: (t) => ({
    user: t.field({ type: 'User', description: 'Who it is.', resolve: (member) => member.user }),
    status: t.exposeString('status', { nullable: true, description: 'What they say they are doing.' }),
    isBlocked: t.exposeBoolean('isBlocked', { description: 'Whether they were shut out of the flow.' }),
    lastActivityAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When they last did something there.',
      resolve: (member) => member.lastActivityAt,
    }),
    lastPingAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When a client of theirs was last heard of.',
      resolve: (member) => member.lastPingAt,
    }),
  }),
})

builder.inputType('FlowBy', {
  description: 'Names a flow in exactly one way.',
  isOneOf: true,
  fields: (t) => ({
    id: t.id({ description: 'Its global id.' }),
    databaseId: t.id({ description: 'The id the upstream knows it by.' }),
    path: t.string({ description: 'Organization and slug: `example/main`.' }),
    url: t.string({ description: 'Its address in the REST API or on the web.' }),
  }),
})

builder.queryFields((t) => ({
  flows: t.connection(
    {
      type: 'Flow',
      calls: { each: 1 },
      listSize: 100,
      description: 'Your flows, by path.',
      args: {
        scope: t.arg({
          type: FlowScope,
          required: true,
          defaultValue: 'joined',
          description: 'Which of them.',
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
    description: 'One flow; null when there is none or it is not for you to see.',
    args: { by: t.arg({ type: 'FlowBy', required: true, description: 'Which one.' }) },
    resolve: (root, args, context, info) =>
      flows.flow(root, args, context, () => selectedArguments(info, 'messages')),
  }),
}))
