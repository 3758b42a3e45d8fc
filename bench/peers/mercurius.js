/*
 * Mercurius as its documentation sets up subscriptions, with its compiler on: what the gateway's fan-out is compared with.
 * Its own folder keeps it out of the gateway's dependencies.
 */
import { get } from 'node:http'
import Fastify from 'fastify'
import mercurius from 'mercurius'

const [upstream = ''] = process.argv.slice(2)

const app = Fastify()
await app.register(mercurius, {
  schema: `
    type Query { a: Int }
    type Author { name: String! }
    type Message { content: String! author: Author! }
    type MessageAdded { cursor: String! message: Message! }
    type Subscription { messageAdded: MessageAdded! }`,
  resolvers: {
    Subscription: { messageAdded: { subscribe: (_, __, { pubsub }) => pubsub.subscribe('messages') } },
  },
  subscription: { fullWsTransport: true },
  path: '/graphql',
  jit: 1,
})
await app.listen({ port: 0, host: '127.0.0.1' })

get(upstream, (response) => {
  let text = ''
  response.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
    const parts = text.split('\n\n')
    text = parts.pop() ?? ''
    for (const part of parts) {
      const data = part.slice(part.indexOf('data: ') + 6)
      if (!data.startsWith('{')) continue
      const { id, content } = JSON.parse(data)
      const event = { cursor: String(id), message: { content, author: { name: 'Ada Byron' } } }
      app.graphql.pubsub.publish({ topic: 'messages', payload: { messageAdded: event } })
    }
  })
})
console.log(`listening ${app.server.address().port}`)
