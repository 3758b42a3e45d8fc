import { request } from 'node:http'
import { WebSocket } from 'ws'
import { basic } from './backend.ts'
import { overSse } from './live-client.ts'

/** Something that delivers, whatever the transport. */
export interface Delivery {
  /** Resolves with the reason when there is no more. */
  readonly ended: Promise<string>
  close(): void
  /**
   * Presents another credential on the open connection. Resolves when the server has taken it.
   *
   * @param onTaken runs before the next result is heard
   */
  renew(token: string, onTaken: () => void): Promise<void>
}

export const transports = ['WebSocket', 'SSE', 'backend'] as const
export type Transport = (typeof transports)[number]

export interface SubscriptionOptions {
  readonly url: string
  readonly token: string
  readonly query: string
  readonly after: string | undefined
  /** Hears each result or event, as JSON. */
  readonly onText: (json: string) => void
}

/** graphql-transport-ws, with renewal of the credential. */
export function openOverWebSocket({ url, token, query, after, onText }: SubscriptionOptions): Delivery {
  const { promise: ended, resolve } = Promise.withResolvers<string>()
  let onPong: (() => void) | undefined
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  const send = (message: object) => socket.send(JSON.stringify(message))
  socket.on('open', () => {
    send({ type: 'connection_init', payload: { Authorization: basic(token) } })
    send({ id: '1', type: 'subscribe', payload: { query, variables: { after } } })
  })
  socket.on('message', (data) => {
    const { type, payload } = JSON.parse(String(data))
    if (type === 'next') onText(JSON.stringify(payload))
    else if (type === 'pong') onPong?.()
    else if (type === 'error') resolve(`error ${JSON.stringify(payload)}`)
    else if (type === 'complete') resolve('complete')
  })
  socket.on('error', (error) => resolve(`error ${error.message}`))
  socket.on('close', (code, reason) => resolve(`closed ${code} ${reason}`))
  return {
    ended,
    close: () => socket.close(),
    async renew(other, onTaken) {
      const { promise, resolve: taken } = Promise.withResolvers<void>()
      onPong = () => {
        onTaken()
        taken()
      }
      send({ type: 'ping', payload: { authorization: basic(other) } })
      await Promise.race([promise, ended])
    },
  }
}

export function openOverSse({ url, token, query, after, onText }: SubscriptionOptions): Delivery {
  const client = overSse({
    ...{ url, token, query, variables: { after } },
    onResult: (result) => onText(JSON.stringify(result)),
  })
  return { ...client, renew: cannotRenew }
}

/** The stream of the backend itself. Resolves once it is open, or refused. */
export function openBackendStream(
  url: string,
  token: string,
  lastEventId: string | undefined,
  onEvent: (json: string, id: string | undefined) => void,
): Promise<Delivery & { readonly status: number }> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...{ authorization: basic(token), accept: 'text/event-stream' },
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    }
    const outgoing = request(url, { headers }, (response) => {
      const { promise: ended, resolve: end } = Promise.withResolvers<string>()
      let unread = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        const events = (unread + chunk).split('\n\n')
        unread = events.pop() ?? ''
        for (const event of events) {
          const data = /^data: (.*)$/m.exec(event)?.[1]
          if (data !== undefined) onEvent(data, /^id: (.*)$/m.exec(event)?.[1])
        }
      })
      response.on('error', () => undefined)
      response.on('close', () => end('ended'))
      resolve({
        status: response.statusCode ?? 0,
        ended,
        close: () => outgoing.destroy(),
        renew: cannotRenew,
      })
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

async function cannotRenew(): Promise<void> {
  throw new Error('This transport has no way to renew a credential')
}
