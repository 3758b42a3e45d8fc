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
      subscribe: (sink) => ({ unsubscribe: client.subscribe({ query, ...rest }, separate(sink)) }),
    }),
  })
}

/**
 * urql merges each result into the one before it. An event without errors then has those of an earlier event, unless its own
 * list is there and empty.
 */
function separate(sink: ResultSink): ResultSink {
  let isFirst = true
  return {
    next(result) {
      sink.next(isFirst ? result : { ...result, errors: result.errors ?? [] })
      isFirst = false
    },
    error: (reason) => sink.error(reason),
    complete: () => sink.complete(),
  }
}
