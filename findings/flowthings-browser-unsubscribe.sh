#!/usr/bin/env bash
# flowthings-browser 1.0.2: ws.unsubscribe() subscribes again, so the server sends drops for ever
#
# Documented: README, "api.ws.unsubscribe(flowIdOrPath, handler[, callback])": "Unsubscribes the provided handler from the Flow."
# Seen: the last handler of a flow is removed, and the command that is sent is `{"object": "drop", "type": "subscribe"}` once
#   more (`unsubscribe` in flowthings-browser.js). The callback reports success, and drops go on arriving, without a handler.
# Matters: a page that changes flows receives all that it ever showed. A server that answers a second subscription with an error,
#   or delivers twice for it, breaks such pages. Send `{object: 'drop', type: 'unsubscribe', flowId}` with `api.ws.send`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true }' > package.json
npm install --silent --no-audit --no-fund --save-exact flowthings-browser@1.0.2 ws@8.23.0

cat > check.cjs <<'JS'
const { createServer } = require('node:http')
const { once } = require('node:events')
const { WebSocket, WebSocketServer } = require('ws')

// The package needs what a browser has.
globalThis.WebSocket = WebSocket
globalThis.XMLHttpRequest = class {
  withCredentials = false
  open(method, url) {
    Object.assign(this, { method, url })
  }
  setRequestHeader() {}
  async send() {
    const response = await fetch(this.url, { method: this.method })
    Object.assign(this, { responseText: await response.text(), status: response.status, readyState: 4 })
    this.onreadystatechange()
  }
}
const flowthings = require('flowthings-browser')

async function main() {
  const commands = []
  const server = createServer((_, response) => response.end('{"head":{"ok":true,"status":201},"body":{"id":"s1"}}'))
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) =>
    socket.on('message', (data) => {
      const { msgId, type } = JSON.parse(data)
      commands.push(type)
      socket.send(JSON.stringify({ head: { msgId, ok: true, status: 200 }, body: {} }))
    }),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${server.address().port}`
  const options = { account: 'a', token: 't', secure: false, host, wsHost: host }
  const { ws } = flowthings.API({ ...options, transform: flowthings.promisify(Promise) })
  const opened = new Promise((resolve) => (ws.onopen = resolve))
  await ws.connect()
  await opened
  const handler = () => undefined
  await ws.subscribe('/a/flow', handler)
  const result = await ws.unsubscribe('/a/flow', handler)
  console.log('expected: subscribe, unsubscribe')
  console.log('sent:', commands.join(', '), '- result:', JSON.stringify(result))
  const same = commands.join() === 'subscribe,subscribe'
  console.log(same ? 'Still so.' : 'The behaviour has changed.')
  process.exit(same ? 0 : 1)
}
main()
JS
timeout 30 node check.cjs
