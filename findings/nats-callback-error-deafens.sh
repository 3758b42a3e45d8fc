#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0 (nats-server 2.9.10): an exception in one callback makes the whole connection deaf
#
# Remembered: an exception of a callback concerns that message, or ends the process as an uncaught exception (as
#   with an EventEmitter). The documentation of SubscriptionOptions.callback says nothing about exceptions.
# Seen: neither. The exception ends the loop that reads the socket. The connection stays open and isClosed() is
#   false, there is no status, no uncaughtException and no rejection of closed(); one line goes to the console. No
#   subscription of the connection gets anything any more, and flush() does not settle. Only the missing answers to
#   pings end this: with the default pingInterval of two minutes after several minutes, in this test (500 ms) as
#   "staleConnection". Everything published until the new connection is lost.
# Matters: one unexpected message in one handler silences every other handler of the process for minutes. Wrap each
#   callback in try/catch (an iterator is not affected), and set pingInterval to seconds.
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
const child = spawn(process.env.server, ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
process.on('exit', () => child.kill('SIGKILL'))
const uncaught = []
process.on('uncaughtException', ({ message }) => uncaught.push(message))

async function run(extra, untilStatus) {
  const options = { servers: `127.0.0.1:${port}`, waitOnFirstConnect: true, reconnectTimeWait: 100 }
  const [consumer, publisher] = [await connect({ ...options, ...extra }), await connect(options)]
  const statuses = new Set()
  void (async () => {
    for await (const { type } of consumer.status()) statuses.add(type)
  })()
  const received = []
  consumer.subscribe('bad', {
    callback() {
      throw new Error('A mistake in one handler.')
    },
  })
  consumer.subscribe('good', { callback: (_, message) => received.push(message.string()) })
  await consumer.flush()
  publisher.publish('bad')
  await publisher.flush()
  await sleep(300)
  publisher.publish('good', 'later')
  await publisher.flush()
  for (let wait = 0; wait < 200 && untilStatus && !statuses.has(untilStatus); wait += 1) await sleep(50)
  if (!untilStatus) await sleep(1500)
  return { received, statuses: [...statuses].filter((type) => type !== 'ping'), closed: consumer.isClosed() }
}
const defaults = await run({}, undefined)
const pinging = await run({ pingInterval: 500, maxPingOut: 2 }, 'reconnect')
console.log('expected: "later" received, or an uncaught exception, or a status that says so')
console.log('seen with defaults:', defaults)
console.log('seen with pingInterval 500:', pinging, 'uncaught:', uncaught)
const same =
  defaults.received.length === 0 &&
  defaults.statuses.length === 0 &&
  !defaults.closed &&
  pinging.received.length === 0 &&
  pinging.statuses.includes('staleConnection') &&
  uncaught.length === 0
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
