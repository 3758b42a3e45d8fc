#!/usr/bin/env bash
# @urql/core 6.0.3: the last event of a subscription over fetch is delivered twice
#
# Documented: subscriptions call the listener for each result the server sends (urql docs, "Subscriptions").
# Seen: for two events the listener is called three times. When the response ends, the last result is delivered
#   again with hasNext: false. The repetition is the same whether the server sent `event: complete` or the response
#   merely ended (a proxy's time limit, a deploy): both end without an error. graphql-sse delivers two and connects
#   again after the cut.
# Matters: a bot that acts on every result acts twice on the last one, after each restart of the server. Act only on
#   results with hasNext: true, or compare ids, and treat the end of a live subscription as a reason to subscribe
#   again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact graphql@16.15.0 @urql/core@6.0.3 wonka@6.3.5

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Client, fetchExchange } from '@urql/core'
import { onEnd, pipe, subscribe } from 'wonka'

const events = [1, 2].map((a) => `event: next\ndata: ${JSON.stringify({ data: { a } })}\n\n`).join('')
const streams = { completed: `${events}event: complete\ndata:\n\n`, cut: events }
let body
const server = createServer((_, response) =>
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).end(body),
).listen(0, '127.0.0.1')
await once(server, 'listening')
const seen = {}
for (const [name, stream] of Object.entries(streams)) {
  body = stream
  const client = new Client({
    url: `http://127.0.0.1:${server.address().port}/`,
    exchanges: [fetchExchange],
    fetchSubscriptions: true,
    preferGetMethod: false,
  })
  const results = []
  await new Promise((resolve) =>
    pipe(
      client.subscription('subscription { a }', {}),
      onEnd(resolve),
      subscribe(({ data, error, hasNext }) => results.push(error ? 'error' : `${data.a} ${hasNext}`)),
    ),
  )
  seen[name] = results.join(', ')
}
console.log('expected: 1, 2 for the completed stream; 1, 2, error for the cut one')
console.log('seen (value, hasNext):', seen)
const same = Object.values(seen).every((results) => results === '1 true, 2 true, 2 false')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
