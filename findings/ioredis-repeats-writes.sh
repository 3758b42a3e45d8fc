#!/usr/bin/env bash
# ioredis 6.0.0 (redis 6.3.1 beside it): a write whose reply was lost is executed twice, and succeeds once
#
# Documented: ioredis, README, "Auto-reconnect": commands without a reply are sent again after a reconnect, with blocking
#   reads as the example. That writes are among them is left to the reader.
# Seen: the connection ends after the server executed XADD and before its reply arrived. ioredis sends it again: the stream
#   has two entries, and the promise resolves with the id of the second. With `autoResendUnfulfilledCommands: false` the
#   stream has one, but the promise never settles, not even after disconnect(). With `maxRetriesPerRequest: 0` it is
#   rejected, as it is by the client `redis`.
# Matters: an event log in a Redis stream, or a counter of a rate limit, counts twice after each failover. Set
#   `maxRetriesPerRequest: 0` for what writes, or give XADD an id of your own, so that the second is refused.
# Uses the server at REDIS_URL (redis://127.0.0.1:6379 unless set), with one key that it deletes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact ioredis@6.0.0 redis@6.3.1

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import Redis from 'ioredis'
import { createClient } from 'redis'

const { hostname, port } = new URL(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
const server = { host: hostname, port: Number(port || 6379) }
const key = `findings-${process.pid}`

const probe = connect(server)
await once(probe, 'connect').catch(({ code }) => {
  console.error(`Needs a Redis server: ${code}`)
  process.exit(2)
})
probe.destroy()

/** Ends the first connection that names the key, once its reply has come. */
async function losesOneReply() {
  let isOver = false
  const proxy = createServer((client) => {
    const upstream = connect(server)
    let named = false
    client.on('data', (bytes) => {
      named ||= bytes.includes(key)
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (named && !isOver) {
        isOver = true
        client.destroy()
      } else client.write(bytes)
    })
    for (const [one, other] of [[client, upstream], [upstream, client]])
      one.on('error', () => undefined).on('close', () => other.destroy())
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return proxy.address().port
}
const outcome = (promise) => promise.then(() => 'succeeded', () => 'failed')
const admin = new Redis({ ...server })

async function withIoredis(options) {
  await admin.del(key)
  const client = new Redis({ host: '127.0.0.1', port: await losesOneReply(), ...options })
  client.on('error', () => undefined)
  const writing = outcome(client.xadd(key, '*', 'message', 'hello'))
  const write = await Promise.race([writing, sleep(3000).then(() => 'pending')])
  client.disconnect()
  return { write, entries: await admin.xlen(key) }
}
async function withRedis() {
  await admin.del(key)
  const client = createClient({ url: `redis://127.0.0.1:${await losesOneReply()}` })
  client.on('error', () => undefined)
  await client.connect()
  const write = await outcome(client.xAdd(key, '*', { message: 'hello' }))
  client.destroy()
  return { write, entries: await admin.xlen(key) }
}
const seen = {
  ioredis: await withIoredis({}),
  'autoResendUnfulfilledCommands: false': await withIoredis({ autoResendUnfulfilledCommands: false }),
  'maxRetriesPerRequest: 0': await withIoredis({ maxRetriesPerRequest: 0 }),
  redis: await withRedis(),
}
await admin.del(key)
console.log('expected: one entry, and a write that failed or succeeded')
console.table(seen)
const outcomes = Object.values(seen).map(({ write, entries }) => `${write} ${entries}`)
const same = outcomes.join() === 'succeeded 2,pending 1,failed 1,failed 1'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
