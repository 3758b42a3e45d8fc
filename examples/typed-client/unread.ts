/** Tells which flows have something new, and answers in one of them. Run it: `node examples/typed-client/unread.ts URL TOKEN` */
import { type Client, createClient, graphql } from './client.ts'

const flowsQuery = graphql(`
  query Flows($last: Int!) {
    flows {
      nodes {
        path
        unreadMentions
        messages(last: $last) {
          nodes {
            id
            sentAt
            author {
              name
            }
            ... on ChatMessage {
              content
            }
          }
        }
      }
    }
  }
`)

const sendMutation = graphql(`
  mutation Send($path: String!, $content: String!) {
    sendMessage(input: { flow: { path: $path }, content: $content }) {
      __typename
      ... on SendMessagePayload {
        sentMessage {
          id
          tags
        }
      }
      ... on UserError {
        code
        message
      }
    }
  }
`)

/** A line for each flow: its path, how often one is mentioned, and what was said last. */
export async function describeFlows(client: Client): Promise<string[]> {
  const { flows } = await client.request(flowsQuery, { last: 1 })
  return flows.nodes.map(({ path, unreadMentions, messages }) => {
    const last = messages?.nodes?.[0]
    // Only chat messages have a content, and the compiler knows.
    const said = last !== undefined && 'content' in last ? last.content : '…'
    return `${path} (${unreadMentions ?? 0}): ${last?.author?.name ?? 'Somebody'}: ${said}`
  })
}

/** @returns the tags of what was sent @throws why it was not */
export async function send(client: Client, path: string, content: string): Promise<readonly string[]> {
  const { sendMessage } = await client.request(sendMutation, { path, content })
  if (sendMessage.__typename === 'SendMessagePayload') return sendMessage.sentMessage.tags
  throw new Error(`${sendMessage.code}: ${sendMessage.message}`)
}

if (import.meta.main) {
  const [url = 'http://127.0.0.1:4000', token = ''] = process.argv.slice(2)
  process.stdout.write(`${(await describeFlows(createClient(url, token))).join('\n')}\n`)
}
