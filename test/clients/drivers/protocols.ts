import * as page from '../protocols.ts'
import { type Driver, drive, type Observer } from './driver.ts'

const query = `
  subscription ($path: String!) {
    messageAdded(input: { flows: [{ path: $path }] }) {
      ... on MessageAdded { message { ... on ChatMessage { content } } }
    }
  }
`

interface SubscriptionClient {
  subscribe(
    request: { query: string; variables: Record<string, unknown> },
    sink: { next(result: Result): void; error(error: unknown): void; complete(): void },
  ): () => void
}

interface Result {
  readonly data?: unknown
  readonly errors?: unknown
}

export function createDriver(url: string, token: string): Driver {
  const { overWebSocket, overSse } = page.createSubscriptionClients(url, token)
  const listenWith = (client: SubscriptionClient) => (path: string, observer: Observer) =>
    client.subscribe(
      { query, variables: { path } },
      {
        next: ({ data, errors }) => {
          if (errors !== undefined) observer.error(errors)
          else observer.next((data as { messageAdded: object }).messageAdded)
        },
        error: observer.error,
        complete: () => {},
      },
    )
  const unsupported = () => Promise.reject(new Error('These clients are for live queries'))
  return drive({
    ...{ read: unsupported, send: unsupported, ask: unsupported },
    transports: { WebSocket: listenWith(overWebSocket), SSE: listenWith(overSse) },
    errorCode: (error) =>
      Array.isArray(error) ? error[0]?.extensions?.code : (error as { code?: number }).code,
  })
}
