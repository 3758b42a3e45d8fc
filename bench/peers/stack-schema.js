/* The part of the gateway's schema that the questions of `bench stack` need, so that the peers get the same texts and give the same bytes. */
export const typeDefs = `
  scalar Upload
  type User { name: String! email: String }
  type Author { name: String! }
  type Thread { title: String }
  interface Message { databaseId: Int! event: String! author: Author thread: Thread }
  type ChatMessage implements Message { databaseId: Int! event: String! author: Author thread: Thread content: String! }
  type FileMessage implements Message { databaseId: Int! event: String! author: Author thread: Thread }
  type MessageConnection { nodes: [Message!]! }
  type ThreadConnection { nodes: [Thread!]! }
  type Flow { name: String! unreadMentions: Int messages(last: Int!): MessageConnection threads(first: Int!): ThreadConnection }
  type FlowConnection { nodes: [Flow!]! }
  type Organization { name: String! userCount: Int }
  type OrganizationConnection { nodes: [Organization!]! }
  input FlowBy { path: String! }
  type Query {
    viewer: User
    flow(by: FlowBy!): Flow
    flows(first: Int!): FlowConnection!
    organizations(first: Int!): OrganizationConnection!
    search(text: String!, last: Int!): MessageConnection
  }
  input SendMessageInput { flow: FlowBy! content: String! }
  type SendMessagePayload { sentMessage: Message! }
  type Forbidden { message: String! }
  union SendMessageResult = SendMessagePayload | Forbidden
  input UploadFileInput { flow: FlowBy! file: Upload! }
  type UploadFilePayload { uploadedMessage: Message! }
  union UploadFileResult = UploadFilePayload | Forbidden
  type Mutation {
    sendMessage(input: SendMessageInput!): SendMessageResult!
    uploadFile(input: UploadFileInput!): UploadFileResult!
  }
`

const typeOfEvent = ({ event }) => (event === 'file' ? 'FileMessage' : 'ChatMessage')

/** The selected `messages(last: …)` of a flow, so that they can be asked for beside it. */
function lookAhead({ fieldNodes: [field] }) {
  for (const selected of field.selectionSet.selections)
    if (selected.kind === 'Field' && selected.name.value === 'messages')
      return Number(selected.arguments.find(({ name }) => name.value === 'last').value.value)
  return undefined
}

/** Whether a field of the flow is selected that is of its viewer, so that it has to be read each time. */
const selects = ({ fieldNodes: [field] }, name) =>
  field.selectionSet.selections.some((selected) => selected.kind === 'Field' && selected.name.value === name)

/** Resolvers over the calls of `stack-calls.js`, which the context brings. */
export const resolvers = {
  Query: {
    viewer: (_, __, { calls }) => calls.viewer(),
    flow: (_, { by: { path } }, { calls }, info) =>
      calls.flow(path, { last: lookAhead(info), isOfViewer: selects(info, 'unreadMentions') }),
    flows: async (_, { first }, { calls }) => ({ nodes: (await calls.flows()).slice(0, first) }),
    organizations: async (_, { first }, { calls }) => ({
      nodes: (await calls.organizations()).slice(0, first),
    }),
    search: async (_, { text, last }, { calls }) => ({ nodes: await calls.search(text, last) }),
  },
  Mutation: {
    sendMessage: async (_, { input: { flow, content } }, { calls }) => ({
      sentMessage: await calls.send(flow.path, content),
    }),
    uploadFile: async (_, { input: { flow, file } }, { calls }) => ({
      uploadedMessage: await calls.upload(flow.path, await file),
    }),
  },
  Flow: {
    unreadMentions: ({ unread_mentions }) => unread_mentions,
    messages: async ({ path, messages }, { last }, { calls }) => ({
      nodes: await (messages ?? calls.messages(path, last)),
    }),
    threads: async ({ path }, { first }, { calls }) => ({ nodes: await calls.threads(path, first) }),
  },
  Organization: { userCount: ({ user_count }) => user_count },
}

/** Both engines take these apart from the resolvers of fields. */
export const typeResolvers = {
  Message: typeOfEvent,
  SendMessageResult: () => 'SendMessagePayload',
  UploadFileResult: () => 'UploadFilePayload',
}
