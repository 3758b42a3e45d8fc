#!/usr/bin/env bash
# @urql/core 6.0.3: event streams with CR LF, several data lines or another event first fail
#
# Documented: `fetchSubscriptions: true` executes subscriptions as text/event-stream (urql docs, "Subscriptions").
#   The HTML standard, "Parsing an event stream", lets lines end in LF, CR or CR LF, joins several data lines with LF,
#   and makes clients ignore events that they do not listen for.
# Seen: only LF and one data line an event are understood. With CR LF the result is the error "[Network] No Content"
#   and no data; data on two lines gives "Unexpected end of JSON input"; an `event: ping` before the first result
#   gives "No Content". graphql-sse, eventsource and undici read the CR LF stream, and the one with two data lines.
# Matters: frameworks that follow HTTP's line ends write CR LF, and pretty-printing or proxying writers split data.
#   A server for all clients must write LF, one data line and comments (":") instead of ping events.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact graphql@16.15.0 @urql/core@6.0.3

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Client, fetchExchange } from '@urql/core'

const complete = 'event: complete\ndata:\n\n'
const streams = {
  LF: `event: next\ndata: {"data":{"a":1}}\n\n${complete}`,
  'CR LF': `event: next\ndata: {"data":{"a":1}}\n\n${complete}`.replaceAll('\n', '\r\n'),
  'two data lines': `event: next\ndata: {"data":\ndata: {"a":1}}\n\n${complete}`,
  'another event first': `event: ping\ndata: {}\n\nevent: next\ndata: {"data":{"a":1}}\n\n${complete}`,
}
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
  const { data, error } = await new Promise((resolve) =>
    client.subscription('subscription { a }', {}).subscribe(resolve),
  )
  seen[name] = error ? `error: ${error.message}` : JSON.stringify(data)
}
console.log('expected: {"a":1} four times')
console.table(seen)
const { LF, ...others } = seen
const same = LF === '{"a":1}' && Object.values(others).every((result) => result.startsWith('error: [Network]'))
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
