#!/usr/bin/env bash
# node:stream of Node.js 26.10.0: pipeline() from a web stream goes on when its destination closes or its signal aborts
#
# Documented: Node.js, "Stream", stream.pipeline(): the source may be a ReadableStream, the method cleans up, and `signal`
#   aborts it. A source that is a node:stream is destroyed at once.
# Seen: with a ReadableStream as the source, both are noticed only when its next chunk arrives. Until then the promise is
#   pending and the source is not cancelled; aborting destroys the destination, and the pipeline waits all the same.
# Matters: a proxy that does pipeline(upstream.body, response) with a quiet event stream keeps one upstream connection for each
#   reader that has left, until the upstream says something. Use Readable.fromWeb(upstream.body), or cancel the fetch with a
#   signal of your own on 'close' of the response. ReadableStream.pipeTo() is not affected.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const open = new Set()
const upstream = createServer(({ url }, response) => {
  open.add(url)
  response.once('close', () => open.delete(url))
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write('data: hello\n\n')
}).listen(0, '127.0.0.1')
await once(upstream, 'listening')
const settled = new Set()
const proxy = createServer(async ({ url }, response) => {
  const { body } = await fetch(`http://127.0.0.1:${upstream.address().port}${url}`)
  const source = url === '/web' ? body : Readable.fromWeb(body)
  await pipeline(source, response).catch(() => settled.add(url))
}).listen(0, '127.0.0.1')
await once(proxy, 'listening')

/** Reads the first event and leaves. */
async function visit(url) {
  const [response] = await once(get(`http://127.0.0.1:${proxy.address().port}${url}`), 'response')
  await once(response, 'data')
  response.destroy()
  await sleep(2000)
  return { settled: settled.has(url), 'source open': open.has(url) }
}
async function abort(makeSource) {
  let cancelled = false
  const source = new ReadableStream({
    cancel() {
      cancelled = true
    },
  })
  const sink = new Writable({ write: (_chunk, _encoding, done) => done() })
  const controller = new AbortController()
  const end = pipeline(makeSource(source), sink, { signal: controller.signal }).catch(({ name }) => name)
  controller.abort()
  const settled = (await Promise.race([end, sleep(1000)])) === 'AbortError'
  return { settled, 'source open': !cancelled }
}
const seen = {
  'reader left, ReadableStream': await visit('/web'),
  'reader left, Readable.fromWeb': await visit('/node'),
  'aborted, ReadableStream': await abort((source) => source),
  'aborted, Readable.fromWeb': await abort((source) => Readable.fromWeb(source)),
}
console.log('Node.js', process.version)
console.log('expected: settled, and the source closed, on all lines')
console.table(seen)
const outcomes = Object.values(seen).map((each) => `${each.settled} ${each['source open']}`)
const same = outcomes.join() === 'false true,true false,false true,true false'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
