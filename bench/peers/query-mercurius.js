/* Mercurius with its loaders and its compiler. `lean`: with resolvers that need two calls, because somebody saw that these are enough. */
import Fastify from 'fastify'
import mercurius from 'mercurius'
import { typeDefs } from './query-schema.js'
import { openUpstream } from './upstream.js'

const [upstream = '', kind = 'loaders'] = process.argv.slice(2)
const read = openUpstream(upstream)
const get = async (path, authorization) => (await read(path, authorization)).json()

/** Each thing once, though many ask for it. */
async function once(paths, authorization) {
  const reads = new Map()
  for (const path of paths) if (!reads.has(path)) reads.set(path, get(path, authorization))
  return Promise.all(paths.map((path) => reads.get(path)))
}

const loaders = {
  Message: {
    author: (queries, { authorization }) =>
      once(
        queries.map(({ obj }) => `/users/${obj.user}`),
        authorization,
      ),
    thread: (queries, { authorization }) =>
      once(
        queries.map(({ obj }) => `${obj.path}/threads/${obj.thread_id}`),
        authorization,
      ),
  },
}

const app = Fastify()
await app.register(mercurius, {
  schema: typeDefs,
  jit: 1,
  context: ({ headers: { authorization } }) => ({ authorization }),
  resolvers: {
    Query: {
      flow: async (_, { path }, { authorization }) => ({
        ...(await get(`/flows/${path}`, authorization)),
        path: `/flows/${path}`,
      }),
      async flows(_, { first }, { authorization }) {
        const list = await get('/flows', authorization)
        return {
          nodes: list
            .slice(0, first)
            .map((flow) => ({ ...flow, path: `/flows/acme/${flow.parameterized_name}` })),
        }
      },
    },
    Flow: {
      async messages({ path, users }, { last }, { authorization }) {
        const list = await get(`${path}/messages?limit=${last}`, authorization)
        if (kind === 'loaders') return { nodes: list.map((message) => ({ ...message, path })) }
        const authors = new Map(users.map((user) => [String(user.id), user]))
        return { nodes: list.map((message) => ({ ...message, author: authors.get(message.user) })) }
      },
    },
  },
  ...(kind === 'loaders' ? { loaders } : {}),
})
await app.listen({ port: 0, host: '127.0.0.1' })
console.log(`listening ${app.server.address().port}`)
