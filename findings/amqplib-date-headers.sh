#!/usr/bin/env bash
# amqplib 2.3.1 (RabbitMQ 3.10): a Date or Map in the headers of a message arrives as an empty table
#
# Remembered: AMQP 0-9-1 tables have a timestamp type, and a Date is the JavaScript value for it. Values that cannot
#   be encoded are refused: a bigint throws "Unknown type to encode".
# Seen: a Date is taken for an object without properties and encoded as an empty table; the consumer reads {}. A Map
#   loses its entries in the same way, also inside arrays. Publishing is confirmed.
# Matters: "sent at" and "expires at" of events vanish between two programs that both look right. Write numbers or
#   ISO strings into headers.
# Uses the broker at AMQP_URL (amqp://guest:guest@127.0.0.1:5672 unless set) and one exclusive queue there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact amqplib@2.3.1

cat > check.mjs <<'JS'
import amqp from 'amqplib'

const connection = await amqp
  .connect(process.env.AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672')
  .catch(({ message }) => {
    console.error(`Needs a RabbitMQ broker: ${message}`)
    process.exit(2)
  })
const channel = await connection.createConfirmChannel()
const { queue } = await channel.assertQueue('', { exclusive: true })
const sentAt = new Date(0)
const headers = { sentAt, list: [sentAt], labels: new Map([['a', 1]]), text: sentAt.toISOString() }
channel.sendToQueue(queue, Buffer.from('event'), { headers })
await channel.waitForConfirms()
const message = await channel.get(queue, { noAck: true })
let bigint = 'accepted'
try {
  channel.sendToQueue(queue, Buffer.from('event'), { headers: { id: 1n } })
} catch (error) {
  bigint = error.message
}
await connection.close()
const seen = message.properties.headers
console.log('expected: a time on each of sentAt and list, or an error like that of a bigint:', bigint)
console.log('seen:', seen)
const isEmpty = (value) => JSON.stringify(value) === '{}' && Object.keys(value).length === 0
const same =
  isEmpty(seen.sentAt) && isEmpty(seen.list[0]) && isEmpty(seen.labels) && bigint.startsWith('Unknown type to encode')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
