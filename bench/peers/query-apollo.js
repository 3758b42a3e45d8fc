/* Apollo Server and its RESTDataSource, which shares equal reads of one request. */
import { RESTDataSource } from '@apollo/datasource-rest'
import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { typeDefs } from './query-schema.js'

const [upstream = ''] = process.argv.slice(2)

class Flowdock extends RESTDataSource {
  baseURL = upstream

  constructor({ authorization, ...options }) {
    super(options)
    this.authorization = authorization
  }

  willSendRequest(_path, request) {
    request.headers.authorization = this.authorization
  }

  read(path) {
    return this.get(path)
  }
}

const server = new ApolloServer({
  typeDefs,
  resolvers: {
    Query: {
      flow: async (_, { path }, { flowdock }) => ({
        ...(await flowdock.read(`/flows/${path}`)),
        path: `/flows/${path}`,
      }),
      async flows(_, { first }, { flowdock }) {
        const list = await flowdock.read('/flows')
        return {
          nodes: list
            .slice(0, first)
            .map((flow) => ({ ...flow, path: `/flows/acme/${flow.parameterized_name}` })),
        }
      },
    },
    Flow: {
      async messages({ path }, { last }, { flowdock }) {
        const list = await flowdock.read(`${path}/messages?limit=${last}`)
        return { nodes: list.map((message) => ({ ...message, path })) }
      },
    },
    Message: {
      author: ({ user }, _, { flowdock }) => flowdock.read(`/users/${user}`),
      thread: ({ path, thread_id }, _, { flowdock }) => flowdock.read(`${path}/threads/${thread_id}`),
    },
  },
})
const { url } = await startStandaloneServer(server, {
  listen: { port: 0, host: '127.0.0.1' },
  context: async ({ req }) => ({
    flowdock: new Flowdock({ cache: server.cache, authorization: req.headers.authorization }),
  }),
})
console.log(`listening ${new URL(url).port}`)
