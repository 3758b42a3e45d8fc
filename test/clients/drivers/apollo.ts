import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client'
import * as page from '../apollo.ts'
import { type Driver, drive, type Observer } from './driver.ts'

export function createDriver(url: string, token: string): Driver {
  const client = page.createApolloClient(url, token)
  // What an application has that does not take the link.
  const plain = new ApolloClient({
    cache: new InMemoryCache(),
    link: new HttpLink({ uri: url, headers: { Authorization: `Bearer ${token}` } }),
  })
  const listenWith = (through: typeof client) => (path: string, observer: Observer) => {
    const subscription = through.subscribe({ query: page.listen, variables: { path } }).subscribe({
      next: ({ data, error }) => {
        if (error !== undefined) observer.error(error)
        else observer.next((data as { messageAdded: object }).messageAdded)
      },
      error: observer.error,
    })
    return () => subscription.unsubscribe()
  }
  return drive({
    read: async (path) => {
      const { data } = await client.query({
        query: page.readFlow,
        variables: { path },
        fetchPolicy: 'network-only',
      })
      return (data as { flow: never }).flow
    },
    send: async (path, content) => {
      const { data } = await client.mutate({ mutation: page.send, variables: { path, content } })
      return (data as { sendMessage: never }).sendMessage
    },
    ask: async (query) => (await client.query({ query: gql(query) })).data,
    transports: { WebSocket: listenWith(client), multipart: listenWith(plain) },
    errorCode: page.errorCode,
  })
}
