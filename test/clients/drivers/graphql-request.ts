import * as page from '../graphql-request.ts'
import { type Driver, drive } from './driver.ts'

export function createDriver(url: string, token: string): Driver {
  const client = page.createRequestClient(url, token)
  return drive({
    read: async (path) => (await client.request<{ flow: never }>(page.readFlow, { path })).flow,
    send: async (path, content) =>
      (await client.request<{ sendMessage: never }>(page.send, { path, content })).sendMessage,
    ask: (query) => client.request(query),
    transports: {},
    errorCode: page.errorCode,
  })
}
