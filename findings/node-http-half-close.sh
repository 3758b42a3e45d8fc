#!/usr/bin/env bash
# node:http of Node.js 26.10.0: a client that closes its sending side after the request loses every later response
#
# Remembered: TCP has two directions. A client may send FIN after a complete request and read the answer; `printf …
#   | nc -N` and simple socket scripts do so, and net.Server has the option allowHalfOpen for it.
# Seen: the server destroys the connection when the FIN arrives. A handler that answered before is fine, one that
#   still waits (any asynchronous handler, any event stream) gets 'close' on the response, and what it writes is lost.
#   The documentation of http.createServer names no option; passing allowHalfOpen changes nothing.
# Matters: small bots and health checks written with sockets get empty answers from a gateway, and only for slow
#   requests: it looks like a crash of the server. Such clients must keep their side open until the answer is
#   complete.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const events = []
const server = createServer({ allowHalfOpen: true }, async ({ url }, response) => {
  response.on('close', () => events.push(`${url} ${response.writableFinished ? 'finished' : 'cut'}`))
  if (url === '/later') await sleep(300)
  response.end('answer')
}).listen(0, '127.0.0.1')
await once(server, 'listening')

async function ask(path, closesSendingSide) {
  const socket = connect({ port: server.address().port, host: '127.0.0.1', allowHalfOpen: true })
  const request = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
  if (closesSendingSide) socket.end(request)
  else socket.write(request)
  let text = ''
  socket.on('data', (data) => {
    text += data
  })
  await once(socket, 'end')
  socket.destroy()
  return text.includes('answer') ? 'answer' : 'nothing'
}
const seen = {
  'at once, half-closed': await ask('/now', true),
  'later, open': await ask('/later', false),
  'later, half-closed': await ask('/later', true),
}
console.log('Node.js', process.version)
console.log('expected: "answer" three times')
console.log('seen:', seen, events)
const same = Object.values(seen).join() === 'answer,answer,nothing' && events.includes('/later cut')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
