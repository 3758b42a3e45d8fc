/**
 * What the gateway's fan-out is compared with, in a process of its own: `stock`, graphql-ws as its documentation sets it
 * up, where each subscriber executes; or `naive`, which sends one string to every socket. Both read the same upstream.
 */
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buildSchema, parse } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { type WebSocket, WebSocketServer } from 'ws'

const [role, upstream = ''] = process.argv.slice(2)

interface Event {
  readonly cursor: string
  readonly message: { readonly content: string; readonly author: { readonly name: string } }
}

const listeners = new Set<(event: Event) => void>()

get(upstream, (response) => {
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    const parts = text.split('\n\n')
    text = parts.pop() ?? ''
    for (const part of parts) {
      const data = part.slice(part.indexOf('data: ') + 6)
      if (!data.startsWith('{')) continue
      const { id, content } = JSON.parse(data) as { id: number; content: string }
      const event = { cursor: String(id), message: { content, author: { name: 'Ada Byron' } } }
      for (const listener of listeners) listener(event)
    }
  })
})

const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })

if (role === 'stock') {
  const schema = buildSchema(
    'type Query { a: Int } type Author { name: String! } type Message { content: String! author: Author! } type MessageAdded { cursor: String! message: Message! } type Subscription { messageAdded: MessageAdded! }',
  )
  const subscribe = () => {
    const queue: Event[] = []
    let wake: (() => void) | undefined
    const listener = (event: Event) => {
      queue.push(event)
      wake?.()
    }
    listeners.add(listener)
    return (async function* () {
      try {
        for (;;) {
          while (queue.length > 0) yield { messageAdded: queue.shift() }
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      } finally {
        listeners.delete(listener)
      }
    })()
  }
  useServer({ schema, roots: { subscription: { messageAdded: subscribe } } }, sockets)
} else {
  const open = new Set<WebSocket>()
  sockets.on('connection', (socket) => {
    open.add(socket)
    socket.on('message', () => undefined)
  })
  listeners.add((event) => {
    const text = JSON.stringify({ id: '1', type: 'next', payload: { data: { messageAdded: event } } })
    for (const socket of open) socket.send(text)
  })
}
// The documents are the same for all; parsing one keeps the module warm.
parse('{ a }')
server.listen(0, '127.0.0.1', () => console.log(`listening ${(server.address() as AddressInfo).port}`))
