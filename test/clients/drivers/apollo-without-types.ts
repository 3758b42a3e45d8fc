import { ApolloClient, HttpLink, InMemoryCache } from '@apollo/client'
import * as page from '../apollo.ts'
import { type Driver, drive } from './driver.ts'

/** Only `send` is of interest: its result has a fragment on an interface. */
export function createDriver(url: string, token: string): Driver {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: new HttpLink({ uri: url, headers: { Authorization: `Bearer ${token}` } }),
  })
  const unsupported = () => Promise.reject(new Error('This client only sends'))
  return drive({
    read: unsupported,
    send: async (path, content) => {
      const { data } = await client.mutate({ mutation: page.send, variables: { path, content } })
      return (data as { sendMessage: never }).sendMessage
    },
    ask: unsupported,
    transports: {},
    errorCode: page.errorCode,
  })
}
