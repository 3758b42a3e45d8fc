/** Subscriptions of urql that resume. The exchange is passed in, so that this file needs no package. */
import type { LiveClient, ResultSink, SubscribeRequest } from './index.ts'

interface SubscriptionOptions {
  readonly forwardSubscription: (
    request: Omit<SubscribeRequest, 'query'> & { readonly query?: string | undefined },
  ) => { subscribe(sink: ResultSink): { unsubscribe(): void } }
}

/**
 * The exchange for subscriptions.
 *
 * @param subscriptionExchange the function from `urql` or `@urql/core`
 */
export function createLiveExchange<Exchange>(
  client: LiveClient,
  subscriptionExchange: (options: SubscriptionOptions) => Exchange,
): Exchange {
  return subscriptionExchange({
    forwardSubscription: ({ query = '', ...rest }) => ({
      subscribe: (sink) => ({ unsubscribe: client.subscribe({ query, ...rest }, sink) }),
    }),
  })
}
