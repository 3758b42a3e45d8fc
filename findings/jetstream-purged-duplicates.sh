#!/usr/bin/env bash
# @nats-io/jetstream 3.4.0 (nats-server 2.9.10): a message is acknowledged as a duplicate of one that no longer exists
#
# Remembered: with a message id, JetStream stores a message once, so an acknowledgement with `duplicate: true` means that the
#   stream has it. It gives the sequence number under which it was stored.
# Seen: the ids of the last two minutes are remembered whatever happened to their messages. After a purge, after a deletion,
#   or when a newer message replaced it (max_msgs_per_subject), the same id is acknowledged with its old sequence number and
#   not stored; so is another message with that id on another subject of the stream. A publish that was refused leaves no id.
# Matters: a service that purges a stream and fills it again from its database within two minutes loses all of it, with
#   acknowledgements. Put a generation into the ids, or recreate the stream; and an id is for the stream, not for its subject.
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
await manager.streams.add({ name: 'events', subjects: ['events.>'], storage: 'memory', max_msgs_per_subject: 1 })
const publish = async (subject, msgID) => {
  const { seq, duplicate } = await client.publish(`events.${subject}`, 'hello', { msgID })
  return `${duplicate ? 'duplicate of' : 'stored as'} ${seq}`
}
const count = async () => (await manager.streams.info('events')).state.messages

const seen = {}
seen.first = await publish('a', '1')
await manager.streams.purge('events')
seen['after a purge'] = await publish('a', '1')
seen['messages in the stream'] = await count()
seen.second = await publish('a', '2')
await manager.streams.deleteMessage('events', 2)
seen['after a deletion'] = await publish('a', '2')
seen.third = await publish('a', '3')
seen['a newer one'] = await publish('a', '4')
seen['the third again'] = await publish('a', '3')
seen['another subject'] = await publish('b', '4')
console.log('expected: what is not in the stream is stored')
console.log(seen)
await connection.close()
const same =
  Object.values(seen).join() ===
  [
    ...['stored as 1', 'duplicate of 1', 0, 'stored as 2', 'duplicate of 2'],
    ...['stored as 3', 'stored as 4', 'duplicate of 3', 'duplicate of 4'],
  ].join()
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
