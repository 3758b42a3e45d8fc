#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0 (nats-server 2.9.10): publish() drops silently while disconnected
#
# Documented: NATS docs, "Buffering Messages During Reconnect Attempts": clients keep messages published while the
#   server is away and send them after reconnecting (Go: 8 MB, then an error). Every client may differ, and the README
#   of this one does not say that it keeps none.
# Seen: publish() returns without an error while the client reconnects, and none of these messages is sent
#   afterwards. The subscriber of the test is connected again before the publisher is, so it misses nothing else.
#   flush() in that time rejects with "connection disconnected"; that is the only sign.
# Matters: two seconds of a restarting server lose every event of those seconds, although the code looks the same as
#   in Go. Await flush() before an event counts as sent, use JetStream, or read the gap from the database after
#   "reconnect".
set -euo pipefail
server=$(PATH="$PATH:/usr/sbin" command -v nats-server) || {
  echo "Needs nats-server (Debian package nats-server)." >&2
  exit 2
}
export server
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact @nats-io/transport-node@3.4.0

cat > check.mjs <<'JS'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@nats-io/transport-node'

const probe = createServer().listen(0, '127.0.0.1')
await once(probe, 'listening')
const { port } = probe.address()
probe.close()
await once(probe, 'close')

let child
process.on('exit', () => child?.kill('SIGKILL'))
function startServer() {
  child = spawn(process.env.server, ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
}
const connectWhenUp = () =>
  connect({ servers: `127.0.0.1:${port}`, waitOnFirstConnect: true, reconnectTimeWait: 50, maxReconnectAttempts: -1 })

startServer()
await (await connectWhenUp()).close()
const publisher = await connect({
  servers: `127.0.0.1:${port}`,
  reconnectTimeWait: 3000,
  reconnectJitter: 0,
  maxReconnectAttempts: -1,
})
const statuses = []
void (async () => {
  for await (const { type } of publisher.status()) statuses.push(type)
})()
const until = async (type) => {
  while (!statuses.includes(type)) await sleep(20)
}
child.kill('SIGKILL')
await until('disconnect')
startServer()
const subscriber = await connectWhenUp()
const received = []
subscriber.subscribe('events', { callback: (_, message) => received.push(message.string()) })
await subscriber.flush()

let errors = 0
for (const event of ['while down 1', 'while down 2'])
  try {
    publisher.publish('events', event)
  } catch {
    errors += 1
  }
const wasDown = !statuses.includes('reconnect')
await until('reconnect')
publisher.publish('events', 'after')
await publisher.flush()
await subscriber.flush()
console.log('expected: "while down 1", "while down 2", "after", or an error of publish()')
console.log('seen:', received, `errors of publish(): ${errors}`)
const same = wasDown && errors === 0 && received.length === 1 && received[0] === 'after'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
