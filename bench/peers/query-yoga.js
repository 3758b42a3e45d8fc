/*
 * Yoga, Pothos and DataLoader as their documentation puts them together: one loader for each kind of thing. `lean`: with
 * resolvers that need two calls, because somebody saw that these are enough.
 */
import { createServer } from 'node:http'
import SchemaBuilder from '@pothos/core'
import DataLoader from 'dataloader'
import { createYoga } from 'graphql-yoga'
import { openUpstream } from './upstream.js'

const [upstream = '', kind = 'loaders'] = process.argv.slice(2)
const isLean = kind === 'lean'
const read = openUpstream(upstream)

const builder = new SchemaBuilder({})
const Author = builder.objectRef('Author').implement({ fields: (t) => ({ name: t.exposeString('name') }) })
const Thread = builder.objectRef('Thread').implement({
  fields: (t) => ({ title: t.exposeString('title', { nullable: true }) }),
})
const Message = builder.objectRef('Message').implement({
  fields: (t) => ({
    content: t.exposeString('content', { nullable: true }),
    author: t.field({
      type: Author,
      nullable: true,
      resolve: ({ user, author }, _, { users }) => (isLean ? author : users.load(user)),
    }),
    thread: t.field({
      type: Thread,
      nullable: true,
      resolve: ({ path, thread, thread_id }, _, { threads }) =>
        isLean ? thread : threads.load(`${path}/threads/${thread_id}`),
    }),
  }),
})
const Messages = builder.objectRef('Messages').implement({
  fields: (t) => ({ nodes: t.field({ type: [Message], resolve: (list) => list }) }),
})
const Flow = builder.objectRef('Flow').implement({
  fields: (t) => ({
    name: t.exposeString('name'),
    messages: t.field({
      type: Messages,
      args: { last: t.arg.int({ required: true }) },
      async resolve({ path, users }, { last }, { get }) {
        const list = await get(`${path}/messages?limit=${last}`)
        const authors = isLean ? new Map(users.map((user) => [String(user.id), user])) : undefined
        return list.map((message) => ({ ...message, path, author: authors?.get(message.user) }))
      },
    }),
  }),
})
const Flows = builder.objectRef('Flows').implement({
  fields: (t) => ({ nodes: t.field({ type: [Flow], resolve: (list) => list }) }),
})
builder.queryType({
  fields: (t) => ({
    flow: t.field({
      type: Flow,
      nullable: true,
      args: { path: t.arg.string({ required: true }) },
      resolve: async (_, { path }, { get }) => ({ ...(await get(`/flows/${path}`)), path: `/flows/${path}` }),
    }),
    flows: t.field({
      type: Flows,
      args: { first: t.arg.int({ required: true }) },
      async resolve(_, { first }, { get }) {
        const list = await get('/flows')
        return list
          .slice(0, first)
          .map((flow) => ({ ...flow, path: `/flows/acme/${flow.parameterized_name}` }))
      },
    }),
  }),
})

const yoga = createYoga({
  schema: builder.toSchema(),
  logging: false,
  graphiql: false,
  context({ request }) {
    const authorization = request.headers.get('authorization')
    const get = async (path) => (await read(path, authorization)).json()
    return {
      get,
      users: new DataLoader((ids) => Promise.all(ids.map((id) => get(`/users/${id}`)))),
      threads: new DataLoader((paths) => Promise.all(paths.map(get))),
    }
  },
})
const server = createServer(yoga).listen(0, '127.0.0.1', () =>
  console.log(`listening ${server.address().port}`),
)
