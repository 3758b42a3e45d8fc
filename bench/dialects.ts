import { clientFrame, type Dialect } from './counting-sockets.ts'
import { tokenOf } from './service-upstream.ts'

const query =
  'subscription { messageAdded { __typename cursor ... on MessageAdded { message { id author { name } ... on ChatMessage { content } } } } }'

/** How a client introduces itself and subscribes to all joined flows. */
export const introduction = (token: string) => ({
  ...{ type: 'connection_init', payload: { Authorization: `Bearer ${token}` } },
})
export const subscription = {
  ...{ id: '1', type: 'subscribe', payload: { query, extensions: { position: true } } },
}

const say = (message: object) => clientFrame(Buffer.from(JSON.stringify(message)))

/** Of the gateway: graphql-transport-ws, with a token for each client. */
export function gatewayDialect(token: (index: number) => string = tokenOf): Dialect {
  return {
    path: '/graphql',
    subprotocol: 'graphql-transport-ws',
    first: (index) => say(introduction(token(index))),
    reply(payload) {
      const message = String(payload)
      if (message.startsWith('{"type":"connection_ack"')) return say(subscription)
      if (message.includes('"errors"')) throw new Error(`The gateway refused a subscription: ${message}`)
      return message.includes('"data":null') ? 'open' : undefined
    },
    stream: undefined,
  }
}

/** Of a server that sends the same to every socket. */
export const rawDialect: Dialect = {
  ...{ path: '/', subprotocol: undefined, first: undefined, stream: undefined },
  reply: () => 'open',
}
