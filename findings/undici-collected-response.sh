#!/usr/bin/env bash
# undici 8.13.1: fetch() ends a response stream that is still referenced, once its Response object is collected
#
# Documented: undici, README, "Garbage Collection": a body that is not consumed is left to garbage collection. One expects a
#   body that the program still holds to be out of its reach, as it is in browsers, where the stream lives by itself.
# Seen: with `const { body } = await fetch(url)`, garbage collection cancels `body` and closes the connection, as long as the
#   body has no reader yet. With the Response referenced, or with a reader, it stays open.
# Matters: an event stream that is opened first and read later (single connection mode of graphql-sse, a test that holds
#   a subscription open) ends at a time that nobody chose; the server sees a client that left. Keep the Response, or take
#   the reader at once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact undici@8.13.1 node@26.10.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fetch } from 'undici'

const left = new Set()
const server = createServer(({ url }, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n')
  response.on('close', () => left.add(url.slice(1)))
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const open = (name) => fetch(`http://127.0.0.1:${server.address().port}/${name}`)

const held = []
const openBody = async () => {
  const { body } = await open('body')
  held.push(body)
}
const openReader = async () => {
  const { body } = await open('reader')
  held.push(body.getReader())
}
const openResponse = async () => {
  held.push(await open('response'))
}
await openBody()
await openReader()
await openResponse()
for (let turn = 0; turn < 50 && !left.has('body'); turn += 1) {
  globalThis.gc()
  await sleep(20)
}
console.log('expected: none of three streams that are referenced ends')
console.log('ended:', [...left].join(', ') || 'none', `(${held.length} referenced)`)
const same = left.size === 1 && left.has('body')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node --expose-gc check.mjs
