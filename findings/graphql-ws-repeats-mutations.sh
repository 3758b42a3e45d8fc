#!/usr/bin/env bash
# graphql-ws 6.4.2: the client runs a mutation a second time when the socket is lost before the result arrives
#
# Remembered: retries are for connecting and for subscriptions. The documentation of ClientOptions.retryAttempts
#   speaks of reconnecting ("how many times should the client try to reconnect"), and that of Client.subscribe does
#   not tell mutations apart. HTTP clients do not repeat a POST by themselves.
# Seen: every operation without a result is sent again on the new socket, mutations included. The server executes
#   the mutation twice; the caller gets one result, the second, and no sign of the first.
# Matters: a bot that posts a message through the socket posts it twice after each restart of a proxy at the wrong
#   moment. Send mutations over HTTP, or give them an idempotency key (a client-made uuid).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact graphql@16.15.0 graphql-ws@6.4.2 ws@8.23.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { buildSchema } from 'graphql'
import { createClient } from 'graphql-ws'
import { useServer } from 'graphql-ws/use/ws'
import WebSocket, { WebSocketServer } from 'ws'

let executions = 0
let lose
const lost = new Promise((resolve) => {
  lose = resolve
})
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: ([first]) => first })
await once(server, 'listening')
useServer(
  {
    schema: buildSchema('type Query { a: Int } type Mutation { post: Int }'),
    roots: {
      mutation: {
        async post() {
          executions += 1
          if (executions === 1) {
            for (const socket of server.clients) socket.terminate()
            await lost
          }
          return executions
        },
      },
    },
  },
  server,
)
const client = createClient({
  url: `ws://127.0.0.1:${server.address().port}`,
  webSocketImpl: WebSocket,
  retryWait: async () => {},
  on: { closed: () => lose() },
})
const outcome = await new Promise((resolve) =>
  client.subscribe(
    { query: 'mutation { post }' },
    { next: (result) => resolve(JSON.stringify(result)), error: () => resolve('error'), complete() {} },
  ),
)
console.log('expected: the mutation is executed once and the caller gets an error')
console.log(`seen: executed ${executions} times, the caller got ${outcome}`)
const same = executions === 2 && outcome === '{"data":{"post":2}}'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
