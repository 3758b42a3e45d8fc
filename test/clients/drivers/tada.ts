import { GraphQLClient } from 'graphql-request'
import { errorCode } from '../graphql-request.ts'
import * as page from '../tada.ts'
import { type Driver, drive } from './driver.ts'

export function createDriver(url: string, token: string): Driver {
  const client = new GraphQLClient(url, { headers: { Authorization: `Bearer ${token}` } })
  return drive({
    read: async (path) => (await client.request(page.readFlow, { path })).flow,
    send: async (path, content) => (await client.request(page.send, { path, content })).sendMessage,
    ask: (query) => client.request(query),
    transports: {},
    errorCode,
  })
}

/** The compiler knows every field: it finds one that does not exist, and a variable of the wrong type. */
export async function checkTypes(client: GraphQLClient): Promise<void> {
  const { flow } = await client.request(page.readFlow, { path: 'example/main' })
  const name: string | undefined = flow?.name
  // @ts-expect-error the query does not select it
  const id = flow?.id
  // @ts-expect-error the path is a string
  await client.request(page.readFlow, { path: 1 })
  await page.flowName(String(name), String(id), '')
}
