import { createClient } from 'graphql-sse'
import {
  commitMutation,
  Environment,
  fetchQuery,
  type GraphQLResponse,
  Network,
  Observable,
  RecordSource,
  requestSubscription,
  Store,
} from 'relay-runtime'
import * as page from '../relay.ts'
import { type Driver, drive, type Observer } from './driver.ts'

export function createDriver(url: string, token: string): Driver {
  const environment = page.createEnvironment(url, token)
  const sse = createClient({ url, headers: { Authorization: `Bearer ${token}` } })
  const overSse = new Environment({
    store: new Store(new RecordSource()),
    network: Network.create(
      () => Promise.reject(new Error('Queries do not go here')),
      ({ text }, variables) =>
        Observable.create<GraphQLResponse>((sink) =>
          sse.subscribe(
            { query: text ?? '', variables },
            {
              next: (result) => {
                if (result.errors === undefined) sink.next(result as GraphQLResponse)
                else
                  sink.error(
                    new page.GraphqlErrors(
                      result.errors as ConstructorParameters<typeof page.GraphqlErrors>[0],
                    ),
                  )
              },
              complete: () => sink.complete(),
              error: (error) => sink.error(error as Error),
            },
          ),
        ),
    ),
  })
  const listenWith = (through: Environment) => (path: string, observer: Observer) =>
    requestSubscription(through, {
      subscription: page.listen,
      variables: { path },
      onNext: (response) => observer.next((response as { messageAdded: object }).messageAdded),
      onError: observer.error,
    }).dispose
  return drive({
    read: async (path) => {
      const data = await fetchQuery(environment, page.readFlow, { path }).toPromise()
      return (data as { flow: never }).flow
    },
    send: (path, content) =>
      new Promise((resolve, reject) => {
        commitMutation(environment, {
          mutation: page.send,
          variables: { path, content },
          onCompleted: (response) => resolve((response as { sendMessage: object }).sendMessage),
          onError: reject,
        })
      }),
    // The compiler refuses a query that is not valid, so it goes to the network layer as it is.
    ask: (text) =>
      environment
        .getNetwork()
        .execute(
          { text, name: 'ask', id: null, cacheID: 'ask', metadata: {}, operationKind: 'query' },
          {},
          {},
        )
        .toPromise(),
    transports: { WebSocket: listenWith(environment), SSE: listenWith(overSse) },
    errorCode: (error) => (error instanceof page.GraphqlErrors ? error.code : undefined),
  })
}
