#!/usr/bin/env bash
# mosquitto 2.0.11 (mqtt 5.16.0): a shared subscription goes on giving messages to members that are away
#
# Remembered: the members of a shared subscription ($share/group/topic) divide the work; while one is away, the others do it.
#   VerneMQ documents that a connected member is preferred. MQTT 5.0, 4.8.2 leaves the choice to the server.
# Seen: with persistent sessions, mosquitto chooses in turns among all members, connected or not. Of ten messages with one of two
#   members away, the connected one gets five. The others wait for the one that is away; nobody else gets them, even
#   if it never returns, and when its session ends they are gone.
# Matters: each crash or restart of one worker delays its share of all that arrives meanwhile, and removing a worker for good loses
#   it. Let workers have no session (clean: true), or end the session (unsubscribe) at each stop; a message that must not
#   wait belongs into a queue of your own.
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

/** Connects a worker. Its list grows as messages arrive. */
async function work(clientId, clean, received) {
  const client = mqtt.connect(url, { clientId, clean, protocolVersion: 5, properties: { sessionExpiryInterval: clean ? 0 : 60 } })
  client.on('message', (_topic, payload) => received.push(payload.toString()))
  await once(client, 'connect')
  return client
}
async function run(clean) {
  const topic = clean ? 'clean' : 'kept'
  const [atHome, away] = [[], []]
  const first = await work(`${topic}-1`, clean, atHome)
  const second = await work(`${topic}-2`, clean, away)
  for (const client of [first, second]) await client.subscribeAsync(`$share/workers/${topic}`, { qos: 1 })
  await second.endAsync()
  for (let number = 0; number < 10; number += 1) await publisher.publishAsync(topic, String(number), { qos: 1 })
  await sleep(1000)
  const connected = atHome.length
  const again = await work(`${topic}-2`, clean, away)
  await sleep(1000)
  for (const client of [first, again]) await client.endAsync()
  return { 'connected member': connected, 'other one, on its return': away.length }
}
const seen = { 'clean: false': await run(false), 'clean: true': await run(true) }
await publisher.endAsync()
console.log('expected: 10 and 0 on each line')
console.table(seen)
const same = Object.values(seen).map((row) => Object.values(row).join(' ')).join() === '5 5,10 0'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
