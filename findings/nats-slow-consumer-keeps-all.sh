#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0 (nats-server 2.9.10): `slow` limits nothing and reports 11 of 1,000
#
# Remembered: the pending limits of the Go client, where a slow consumer loses the messages over its limit and hears
#   of an error. SubscriptionOptions.slow is described as the number of pending messages that makes a subscription a
#   slow consumer.
# Seen: with slow: 10 and 1,000 messages that nobody reads, one status "slowConsumer" says pending: 11, once. All
#   1,000 messages stay in memory and are delivered when the reader comes. There is no limit that drops or stops.
# Matters: a gateway with one stalled subscriber grows until it is out of memory, and its one log line looks
#   harmless. Keep a bounded queue of your own behind a callback.
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
import { connect } from '@nats-io/transport-node'

const probe = createServer().listen(0, '127.0.0.1')
await once(probe, 'listening')
const { port } = probe.address()
probe.close()
await once(probe, 'close')
const child = spawn(process.env.server, ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
process.on('exit', () => child.kill('SIGKILL'))

const options = { servers: `127.0.0.1:${port}`, waitOnFirstConnect: true }
const [consumer, publisher] = [await connect(options), await connect(options)]
const reported = []
void (async () => {
  for await (const status of consumer.status()) if (status.type === 'slowConsumer') reported.push(status.pending)
})()
const subscription = consumer.subscribe('events', { slow: 10 })
await consumer.flush()
for (let index = 0; index < 1000; index += 1) publisher.publish('events', String(index))
await publisher.flush()
await consumer.flush()
const waiting = subscription.getPending()
let delivered = 0
for await (const _ of subscription) {
  delivered += 1
  if (delivered === waiting) break
}
console.log('expected: messages over the limit are dropped, or the report says how many wait')
console.log('seen:', { reported, waiting, delivered })
const same = reported.join() === '11' && waiting === 1000 && delivered === 1000
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
