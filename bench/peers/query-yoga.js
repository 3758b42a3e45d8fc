/* Yoga, Pothos and DataLoader as their documentation puts them together: one loader for each kind of thing. */
import { createServer } from 'node:http'
import SchemaBuilder from '@pothos/core'
import DataLoader from 'dataloader'
import { createYoga } from 'graphql-yoga'
import { Agent } from 'undici'

const [upstream = ''] = process.argv.slice(2)
const agent = new Agent({ connections: 128 })

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
      resolve: ({ user }, _, { users }) => users.load(user),
    }),
    thread: t.field({
      type: Thread,
      nullable: true,
      resolve: ({ path, thread_id }, _, { threads }) => threads.load(`${path}/threads/${thread_id}`),
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
      async resolve({ path }, { last }, { get }) {
        const list = await get(`${path}/messages?limit=${last}`)
        return list.map((message) => ({ ...message, path }))
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
    const get = async (path) => {
      const { statusCode, body } = await agent.request({
        origin: upstream,
        path,
        method: 'GET',
        headers: { authorization },
      })
      if (statusCode !== 200) throw new Error(`The upstream answered ${statusCode}`)
      return body.json()
    }
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
