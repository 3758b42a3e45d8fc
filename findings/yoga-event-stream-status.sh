#!/usr/bin/env bash
# graphql-yoga 5.24.1 with eventsource 5.1.5 and graphql-sse 2.6.1: error events that reach no client
#
# Documented: Yoga serves subscriptions as the distinct connections mode of "GraphQL over Server-Sent Events" (Yoga,
#   "Subscriptions"). That protocol delivers errors of the operation as a `next` event; the HTML standard,
#   "Server-sent events", makes clients fail for good on every status but 200.
# Seen: when the subscribe function throws an ordinary Error, the response is an event stream with a `next` event
#   that holds the (masked) error, and `complete`, under the status 500. eventsource closes with the status and never
#   reads the event; graphql-sse sends the request six times and reports "500: Internal Server Error". A thrown
#   GraphQLError gives 200 and works.
# Matters: a database that is away for a moment ends browser subscriptions for good instead of giving them an error
#   they could show, or multiplies the load by six. Throw GraphQLError in subscribe functions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact \
  graphql-yoga@5.24.1 graphql@16.15.0 eventsource@5.1.5 graphql-sse@2.6.1 node@26.10.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { EventSource } from 'eventsource'
import { GraphQLError } from 'graphql'
import { createClient } from 'graphql-sse'
import { createSchema, createYoga } from 'graphql-yoga'

const fail = (error) => ({
  subscribe() {
    throw error
  },
})
const schema = createSchema({
  typeDefs: 'type Query { a: Int } type Subscription { plain: Int known: Int }',
  resolvers: { Subscription: { plain: fail(new Error('down')), known: fail(new GraphQLError('The reason.')) } },
})
const yoga = createYoga({ logging: false, schema })
let requests = 0
const server = createServer((request, response) => {
  requests += 1
  return yoga(request, response)
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${server.address().port}/graphql`

async function run(field) {
  const query = `subscription { ${field} }`
  const address = `${url}?query=${encodeURIComponent(query)}`
  const response = await fetch(address, { headers: { accept: 'text/event-stream' } })
  const hasEvent = (await response.text()).includes('event: next')
  const browser = await new Promise((resolve) => {
    const source = new EventSource(address)
    const end = (outcome) => {
      source.close()
      resolve(outcome)
    }
    source.addEventListener('next', () => end('event'))
    source.addEventListener('error', ({ code }) => end(`error ${code}`))
  })
  requests = 0
  const client = createClient({ url, retry: async () => {} })
  const sse = await new Promise((resolve) =>
    client.subscribe(
      { query },
      { next: () => resolve('event'), complete() {}, error: ({ message }) => resolve(message) },
    ),
  )
  return { status: response.status, hasEvent, eventsource: browser, 'graphql-sse': sse, requests }
}
const seen = { plain: await run('plain'), known: await run('known') }
console.log('expected: the event in both clients, after 1 request, on both lines')
console.table(seen)
const { plain, known } = seen
const same =
  plain.status === 500 &&
  plain.hasEvent &&
  plain.eventsource === 'error 500' &&
  plain['graphql-sse'].includes('500') &&
  plain.requests === 6 &&
  known.status === 200 &&
  known.eventsource === 'event' &&
  known['graphql-sse'] === 'event'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
