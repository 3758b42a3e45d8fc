#!/usr/bin/env bash
# mqtt 5.16.0 (mosquitto 2.0.11): connectAsync() loses the messages queued for a persistent session
#
# Documented: connectAsync() resolves to the client when it fires 'connect' (README). MQTT 3.1.1, 4.3: with QoS 1
#   and clean: false the broker keeps messages for a client that is away, until they are acknowledged.
# Seen: `const client = await connectAsync(…); client.on('message', …)` receives none of three queued messages. They
#   arrive together with the CONNACK, the client emits 'message' before the awaiting code continues, nobody listens,
#   and it acknowledges them. connect() with the listener added at once receives all three.
# Matters: "at least once" becomes "not at all" for exactly the messages the session exists for, at every start of a
#   bot written in the style of the README. Use connect() and add the listener in the same tick.
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

let publisher
for (let attempt = 0; attempt < 50 && publisher === undefined; attempt += 1)
  publisher = await mqtt.connectAsync(url, { reconnectPeriod: 0 }).catch(() => sleep(100))

const session = { clientId: 'bot', clean: false }
async function queueThree() {
  const subscriber = await mqtt.connectAsync(url, session)
  await subscriber.subscribeAsync('events', { qos: 1 })
  await subscriber.endAsync()
  for (const event of ['1', '2', '3']) await publisher.publishAsync('events', event, { qos: 1 })
}
async function receive(client) {
  const received = []
  client.on('message', (_, payload) => received.push(payload.toString()))
  await sleep(1000)
  await client.endAsync()
  return received
}
await queueThree()
const seen = { connectAsync: await receive(await mqtt.connectAsync(url, session)) }
seen['connectAsync, next session'] = await receive(mqtt.connect(url, session))
await queueThree()
seen.connect = await receive(mqtt.connect(url, session))
console.log('expected: 1, 2, 3 with connectAsync and with connect')
console.log('seen:', seen)
const same =
  seen.connectAsync.length === 0 && seen['connectAsync, next session'].length === 0 && seen.connect.join() === '1,2,3'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
