#!/usr/bin/env bash
# graphql-sse 2.6.1: the client repeats a request five times that was answered 400 or 401
#
# Documented: "network errors are considered retryable, all other error types are reported immediately" (class
#   NetworkError). A good engineer takes a 4xx response, with a GraphQL error in its body, for an answer and not for a
#   network error; graphql-ws ends at once for the matching close codes 4400 and 4401.
# Seen: any status but 200 is a NetworkError. With the defaults the same bad request is sent six times, over about
#   half a minute of back-off, and then the error says "Server responded with 400: Bad Request": the reason the server
#   gave is only in error.response, unread. Retry-After is not looked at.
# Matters: an expired token looks like a hanging subscription to the user and multiplies requests that cannot
#   succeed. Servers do well to answer 200 with an event that carries the error. Clients need their own `retry` that
#   reads the status, and must read `error.response` themselves.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact graphql@16.15.0 graphql-sse@2.6.1

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createClient } from 'graphql-sse'

const seen = {}
for (const status of [400, 401]) {
  let requests = 0
  const server = createServer((_, response) => {
    requests += 1
    response.writeHead(status, { 'content-type': 'application/json' }).end('{"errors":[{"message":"The reason."}]}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  // The default waits are between 1 and 35 seconds; here only the number counts.
  const client = createClient({ url: `http://127.0.0.1:${server.address().port}`, retry: async () => {} })
  const error = await new Promise((resolve) =>
    client.subscribe({ query: 'subscription { a }' }, { next() {}, complete() {}, error: resolve }),
  )
  seen[status] = { requests, message: error.message, bodyUsed: error.response?.bodyUsed }
  client.dispose()
  server.close()
  server.closeAllConnections()
}
console.log('expected: 1 request each, and a message with the reason')
console.table(seen)
const same = Object.values(seen).every(
  ({ requests, message, bodyUsed }) => requests === 6 && !message.includes('The reason.') && bodyUsed === false,
)
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
