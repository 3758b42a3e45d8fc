import { compare, createClient, startGateway } from './load.ts'

const query = `{ flow(by: { path: "example/main" }) { name messages(last: 100) { nodes {
  author { name } thread { title } ... on ChatMessage { content }
} } } }`

/** A flow with 100 messages, their authors and threads. */
export async function nested(): Promise<void> {
  const gateway = await startGateway()
  const client = createClient(gateway.token)
  const flow = `${gateway.restUrl}/flows/example/main`
  for (let index = 0; index < 100; index += 1)
    await client.call('POST', `${flow}/messages`, { event: 'message', content: `message ${index}` })

  await compare('flow → 100 messages → author, thread; 16 at a time, requests', [
    {
      name: 'the gateway, one GraphQL request',
      concurrency: 16,
      async work() {
        await client.call('POST', `${gateway.url}/graphql`, { query })
      },
    },
    {
      name: 'its two REST calls, made directly',
      concurrency: 16,
      async work() {
        await client.call('GET', flow)
        JSON.parse(await client.call('GET', `${flow}/messages?limit=100`))
      },
    },
    {
      name: 'REST with a call for each author',
      concurrency: 16,
      async work() {
        await client.call('GET', flow)
        const messages = JSON.parse(await client.call('GET', `${flow}/messages?limit=100`)) as {
          user: string
        }[]
        await Promise.all(messages.map(({ user }) => client.call('GET', `${gateway.restUrl}/users/${user}`)))
      },
    },
  ])
  client.close()
  await gateway.close()
}
