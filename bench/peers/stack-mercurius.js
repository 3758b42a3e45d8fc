/* Mercurius and its compiler in front of the embedded backend, with calls by hand. */
import Fastify from 'fastify'
import mercurius from 'mercurius'
import upload from 'mercurius-upload'
import { openCalls } from './stack-calls.js'
import { resolvers, typeDefs, typeResolvers } from './stack-schema.js'

const [backend = '', kind = 'calls'] = process.argv.slice(2)
const callsOf = openCalls(backend, kind)

const app = Fastify()
await app.register(upload, { maxFileSize: 16 * 1024 * 1024 })
await app.register(mercurius, {
  schema: typeDefs,
  jit: 1,
  context: ({ headers: { authorization } }) => ({ calls: callsOf(authorization) }),
  resolvers: {
    ...resolvers,
    ...Object.fromEntries(
      Object.entries(typeResolvers).map(([type, resolveType]) => [type, { resolveType }]),
    ),
    Mutation: {
      ...resolvers.Mutation,
      async uploadFile(root, { input: { flow, file } }, context) {
        const { filename: name, mimetype: type, createReadStream } = await file.promise
        const sent = { name, type, stream: createReadStream() }
        return resolvers.Mutation.uploadFile(root, { input: { flow, file: sent } }, context)
      },
    },
  },
})
await app.listen({ port: 0, host: '127.0.0.1' })
console.log(`listening ${app.server.address().port}`)
