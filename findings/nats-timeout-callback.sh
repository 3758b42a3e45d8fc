#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0 (nats-server 2.9.10): the timeout of a callback subscription always fires
#
# Documented: SubscriptionOptions.timeout: the timer is cancelled when the first message arrives (also README,
#   "Timeout Subscriptions").
# Seen: with an iterator it is. With a callback it is not: the callback is called with a TimeoutError after the
#   time, however many messages came before, and messages still arrive after it.
# Matters: the timeout is the way to notice a publisher that never speaks. With callbacks the alarm goes off for
#   healthy streams; code that unsubscribes on the error goes deaf.
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

const connection = await connect({ servers: `127.0.0.1:${port}`, waitOnFirstConnect: true })
const timeout = 700
const seen = { callback: [], iterator: [] }
connection.subscribe('events', {
  timeout,
  callback: (error, message) => seen.callback.push(error ? error.name : message.string()),
})
const iterated = connection.subscribe('events', { timeout })
const done = (async () => {
  try {
    for await (const message of iterated) seen.iterator.push(message.string())
  } catch ({ name }) {
    seen.iterator.push(name)
  }
})()
connection.publish('events', 'first')
await connection.flush()
await sleep(timeout * 2)
connection.publish('events', 'second')
await connection.flush()
iterated.unsubscribe()
await done
console.log('expected: first, second for both')
console.log('seen:', seen)
const same = seen.callback.join() === 'first,TimeoutError,second' && seen.iterator.join() === 'first,second'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
