import { type Client, CombinedError, gql } from 'urql'
import * as page from '../urql.ts'
import { type Driver, drive, type Observer } from './driver.ts'

export function createDriver(url: string, token: string): Driver {
  const client = page.createUrqlClient(url, token)
  const listenWith = (through: Client) => (path: string, observer: Observer) => {
    const { unsubscribe } = through
      .subscription(page.listen, { path })
      .subscribe(({ data, error, hasNext }) => {
        // When a stream ends, urql delivers the last result again.
        if (!hasNext && error?.networkError === undefined) return
        if (error !== undefined) observer.error(error)
        else observer.next(data.messageAdded)
      })
    return unsubscribe
  }
  const unwrap = <Data>({ data, error }: { data?: Data; error?: CombinedError | undefined }) => {
    if (error !== undefined) throw error
    return data
  }
  return drive({
    read: async (path) =>
      unwrap(await client.query(page.readFlow, { path }, { requestPolicy: 'network-only' }))?.flow,
    cached: async (path) =>
      unwrap(await client.query(page.readFlow, { path }, { requestPolicy: 'cache-only' }))?.flow,
    send: async (path, content) => unwrap(await client.mutation(page.send, { path, content }))?.sendMessage,
    ask: async (query) => unwrap(await client.query(gql(query), {})),
    transports: { WebSocket: listenWith(client), SSE: listenWith(page.createUrqlClientOverSse(url, token)) },
    errorCode: (error) => (error instanceof CombinedError ? page.errorCode(error) : undefined),
  })
}
