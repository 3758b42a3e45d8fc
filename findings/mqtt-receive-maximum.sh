#!/usr/bin/env bash
# mqtt 5.16.0 (mosquitto 2.0.11): with MQTT 5 the client exceeds the broker's Receive Maximum, and messages are refused
#
# Documented: MQTT 5.0, 3.3.4 and 4.9: a client must not have more messages of QoS 1 and 2 unacknowledged than the Receive
#   Maximum that the broker sent with CONNACK (mosquitto: 20). The client itself documents the option `receiveMaximum`.
# Seen: 200 messages of QoS 2 that are published at once are all sent at once. The broker takes as many as it has room for, and
#   the others fail with "Publish error: Quota exceeded", though nothing was wrong with them; brokers that follow 4.13 end the
#   connection. The value is in the CONNACK that 'connect' hands over, and nothing in the client reads it.
# Matters: moving to protocolVersion 5 loses messages under load, where errors of publish() are only logged. Keep at most
#   `receiveMaximum` publishes (65,535 where it is absent) unacknowledged yourself.
set -euo pipefail
broker=$(PATH="$PATH:/usr/sbin" command -v mosquitto) || {
  echo "Needs mosquitto (Debian package mosquitto)." >&2
  exit 2
}
export broker
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact mqtt@5.16.0

cat > check.mjs <<'JS'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import mqtt from 'mqtt'

const probe = createServer().listen(0, '127.0.0.1')
await once(probe, 'listening')
const { port } = probe.address()
probe.close()
await once(probe, 'close')
// Without a configuration file mosquitto 2 listens on the loopback addresses only.
const child = spawn(process.env.broker, ['-p', String(port)], { stdio: 'ignore' })
process.on('exit', () => child.kill('SIGKILL'))
const url = `mqtt://127.0.0.1:${port}`

let subscriber
for (let attempt = 0; attempt < 50 && subscriber === undefined; attempt += 1)
  subscriber = await mqtt.connectAsync(url, { reconnectPeriod: 0 }).catch(() => sleep(100))
await subscriber.subscribeAsync('events', { qos: 2 })
let arrived = 0
subscriber.on('message', () => {
  arrived += 1
})

const count = 200
/** Publishes all messages; where it is bounded, at most Receive Maximum of them unacknowledged. */
async function publish(isBounded) {
  arrived = 0
  const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0 })
  const [{ properties }] = await once(client, 'connect')
  const window = isBounded ? properties.receiveMaximum : count
  const errors = []
  for (let sent = 0; sent < count; sent += window) {
    const part = Array.from({ length: Math.min(window, count - sent) }, () => client.publishAsync('events', 'x', { qos: 2 }))
    for (const { reason } of await Promise.allSettled(part)) if (reason !== undefined) errors.push(reason.message)
  }
  await client.endAsync()
  await sleep(1000)
  return { receiveMaximum: properties.receiveMaximum, failed: errors.length, arrived, error: errors[0] }
}
const seen = { 'all at once': await publish(false), 'at most receiveMaximum': await publish(true) }
await subscriber.endAsync()
console.log(`expected: ${count} arrive on each line`)
console.table(seen)
const [all, bounded] = Object.values(seen)
const same = all.failed > 0 && /Quota exceeded/.test(all.error) && bounded.failed === 0 && bounded.arrived === count
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
