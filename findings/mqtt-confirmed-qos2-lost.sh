#!/usr/bin/env bash
# mosquitto 2.0.11 (mqtt 5.16.0): messages of QoS 2 that the broker has confirmed are lost, from the 21st at once
#
# Documented: MQTT 3.1.1, 4.3.3: a message of QoS 2 is delivered exactly once; the receiver answers PUBREC when it owns it. The
#   protocol has no limit for messages in flight, so a client may send any number. mosquitto.conf(5), max_inflight_messages:
#   the number of *outgoing* messages in process, by default 20.
# Seen: the limit holds for arriving messages, too. What comes beyond it is answered with PUBREC and PUBCOMP, so publish()
#   succeeds, and never delivered: of 60 messages at once, 20 arrive. One after another, or with QoS 1, all arrive.
# Matters: the most careful quality of service is the one that loses, silently, in bursts: a device that was offline sends what it
#   has stored. Publish at most 20 unconfirmed messages of QoS 2 at a time, use QoS 1 with ids of your own, or set
#   max_inflight_messages 0.
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

async function publish(count, qos, window = count) {
  arrived = 0
  const client = await mqtt.connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0 })
  let confirmed = 0
  for (let sent = 0; sent < count; sent += window) {
    const part = Array.from({ length: window }, () => client.publishAsync('events', 'x', { qos }))
    for (const { status } of await Promise.allSettled(part)) if (status === 'fulfilled') confirmed += 1
  }
  await client.endAsync()
  await sleep(1500)
  return { confirmed, arrived }
}
const seen = {
  '60 of QoS 2 at once': await publish(60, 2),
  '60 of QoS 2, 20 at a time': await publish(60, 2, 20),
  '60 of QoS 1 at once': await publish(60, 1),
}
await subscriber.endAsync()
console.log('expected: what is confirmed arrives')
console.table(seen)
const outcomes = Object.values(seen).map(({ confirmed, arrived }) => `${confirmed} ${arrived}`)
const same = outcomes.join() === '60 20,60 60,60 60'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
