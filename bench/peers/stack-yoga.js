/* Yoga in front of the embedded backend, with calls by hand. */
import { createServer } from 'node:http'
import { createSchema, createYoga } from 'graphql-yoga'
import { openCalls } from './stack-calls.js'
import { resolvers, typeDefs, typeResolvers } from './stack-schema.js'

const [backend = '', kind = 'calls'] = process.argv.slice(2)
const callsOf = openCalls(backend, kind)

const yoga = createYoga({
  schema: createSchema({
    typeDefs,
    resolvers: {
      ...resolvers,
      ...Object.fromEntries(
        Object.entries(typeResolvers).map(([type, resolve]) => [type, { __resolveType: resolve }]),
      ),
      Mutation: {
        ...resolvers.Mutation,
        uploadFile(root, { input: { flow, file } }, context) {
          const sent = { name: file.name, type: file.type, stream: file.stream() }
          return resolvers.Mutation.uploadFile(root, { input: { flow, file: sent } }, context)
        },
      },
    },
  }),
  logging: false,
  graphiql: false,
  context: ({ request }) => ({ calls: callsOf(request.headers.get('authorization')) }),
})
const server = createServer(yoga).listen(0, '127.0.0.1', () =>
  console.log(`listening ${server.address().port}`),
)
