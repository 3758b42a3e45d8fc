#!/usr/bin/env bash
# @aws-sdk/client-s3 3.1175.0: requestTimeout ends no request, and throwOnRequestTimeout none whose response has begun
#
# Documented: NodeHttpHandlerOptions (@smithy/types): requestTimeout is how long "request & response" should take; after it a
#   warning is logged, or with throwOnRequestTimeout a TimeoutError thrown.
# Seen: with requestTimeout: 500, a server that answers after 2.5 s is waited for, and one line goes to the console. With
#   throwOnRequestTimeout the call fails after 500 ms, but only until the head of the response is there: a body that stalls
#   is waited for without a warning. `socketTimeout: 500` ends both.
# Matters: the time limit that a service sets for its storage does not exist, and each stalled download holds one of 50 sockets
#   of the client. Set connectionTimeout, requestTimeout, throwOnRequestTimeout and socketTimeout (the longest pause between
#   two chunks), or give send() an abortSignal and destroy the body with it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact @aws-sdk/client-s3@3.1175.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'

const lateMs = 2500
const server = createServer(({ url }, response) => {
  response.setHeader('content-length', 5)
  if (url.includes('stalls')) response.write('hel')
  setTimeout(() => response.end(url.includes('stalls') ? 'lo' : 'hello'), lateMs)
}).listen(0, '127.0.0.1')
await once(server, 'listening')
let warnings = 0
console.warn = () => {
  warnings += 1
}

async function get(Key, requestHandler) {
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${server.address().port}`,
    region: 'test',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler,
  })
  warnings = 0
  const start = performance.now()
  const outcome = await client
    .send(new GetObjectCommand({ Bucket: 'bucket', Key }))
    .then(({ Body }) => Body.transformToString())
    .catch(({ name }) => name)
  client.destroy()
  return { outcome, isInTime: performance.now() - start < lateMs - 500, warnings }
}
const limits = {
  requestTimeout: { requestTimeout: 500 },
  throwOnRequestTimeout: { requestTimeout: 500, throwOnRequestTimeout: true },
  socketTimeout: { socketTimeout: 500 },
}
const seen = {}
for (const [name, handler] of Object.entries(limits))
  for (const key of ['answers late', 'stalls']) seen[`${name}, ${key}`] = await get(key.replace(' ', '-'), handler)
console.log('expected: a TimeoutError in time on each line')
console.table(seen)
const outcomes = Object.values(seen).map(({ outcome, isInTime, warnings: count }) => `${outcome} ${isInTime} ${count}`)
const [late, thrown] = ['hello false', 'TimeoutError true 0']
const same = outcomes.join() === [`${late} 1`, `${late} 0`, thrown, `${late} 0`, thrown, thrown].join()
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
