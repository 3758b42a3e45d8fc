/** Subscriptions of urql that resume. The exchange is passed in, so that this file needs no package. */
import type { LiveClient, LiveEvent, LiveResult, ResultSink, SubscribeRequest } from './index.ts'

interface SubscriptionOptions {
  readonly forwardSubscription: (
    request: Omit<SubscribeRequest, 'query'> & { readonly query?: string | undefined },
  ) => { subscribe(sink: Observer): { unsubscribe(): void } }
}

/** What urql passes. Its results have no member that is undefined, which `exactOptionalPropertyTypes` tells apart. */
interface Observer {
  next(result: Exact<LiveResult<LiveEvent>>): void
  error(reason: unknown): void
  complete(): void
}

type Exact<Result> = { [Member in keyof Result]: Exclude<Result[Member], undefined> }

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
function separate(sink: Observer): ResultSink {
  let isFirst = true
  return {
    next({ data, errors = isFirst ? undefined : [], ...rest }) {
      sink.next({
        ...rest,
        ...(data === undefined ? {} : { data }),
        ...(errors === undefined ? {} : { errors }),
      })
      isFirst = false
    },
    error: (reason) => sink.error(reason),
    complete: () => sink.complete(),
  }
}
