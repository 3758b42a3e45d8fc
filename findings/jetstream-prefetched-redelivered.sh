#!/usr/bin/env bash
# @nats-io/jetstream 3.4.0 (nats-server 2.9.10): consume() hands out messages whose time to acknowledge is already over
#
# Documented: README, "Processing a stream of messages": consume() buffers messages (100 by default) and a loop over it calls
#   ack(). ConsumerConfig.ack_wait: how long a message may be unacknowledged before it is delivered again.
# Seen: ack_wait begins when the server sends a message into the client's buffer, not when the loop gets it. With handlers of
#   150 ms and an ack_wait of 500 ms, no message takes longer than a third of that to handle, and most are handled twice or
#   more: the buffer delivers the expired copy, then the repeated one. With `max_messages: 1` each is handled once.
# Matters: with the defaults (100 messages, 30 s) a handler that takes more than 300 ms on average does its work twice, and falls
#   behind further for it. Set max_messages below ack_wait divided by the time of a handler, or skip a message whose
#   `redelivered` sequence number was just handled.
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
npm install --silent --no-audit --no-fund --save-exact @nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0

cat > check.mjs <<'JS'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'

const probe = createServer().listen(0, '127.0.0.1')
await once(probe, 'listening')
const { port } = probe.address()
probe.close()
await once(probe, 'close')
const flags = ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', process.cwd()]
const child = spawn(process.env.server, flags, { stdio: 'ignore' })
process.on('exit', () => child.kill('SIGKILL'))

const connection = await connect({ servers: `127.0.0.1:${port}`, waitOnFirstConnect: true })
const manager = await jetstreamManager(connection)
const client = jetstream(connection)
await manager.streams.add({ name: 'events', subjects: ['events'], storage: 'memory' })
const count = 10
for (let number = 1; number <= count; number += 1) await client.publish('events', String(number))

async function run(name, options) {
  await manager.consumers.add('events', { durable_name: name, ack_policy: 'explicit', ack_wait: 500e6 })
  const messages = await (await client.consumers.get('events', name)).consume(options)
  setTimeout(() => messages.stop(), 6000)
  const times = new Map()
  let slowest = 0
  for await (const message of messages) {
    const start = performance.now()
    await sleep(150)
    message.ack()
    slowest = Math.max(slowest, performance.now() - start)
    times.set(message.seq, (times.get(message.seq) ?? 0) + 1)
  }
  const handled = [...times.values()]
  const twice = handled.filter((each) => each > 1).length
  return { messages: handled.length, 'handled more than once': twice, 'slowest handler, ms': Math.round(slowest) }
}
const seen = { default: await run('a'), 'max_messages: 1': await run('b', { max_messages: 1 }) }
await connection.close()
console.log('expected: each message is handled once, because each handler acknowledges within 500 ms')
console.table(seen)
const same =
  seen.default['handled more than once'] >= 5 &&
  seen.default['slowest handler, ms'] < 500 &&
  seen['max_messages: 1']['handled more than once'] === 0
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
