#!/usr/bin/env bash
# undici 8.13.1: with the deduplicate interceptor, aborting one request aborts the requests of others
#
# Documented: undici, "Interceptors", deduplicate: of concurrent identical requests one is sent, and all waiting callers get the
#   same response. A signal belongs to the call that it is given to.
# Seen: the signal of the first caller aborts the request for all: the other callers, who gave no signal, get an AbortError
#   as if they had aborted (with fetch, "fetch failed"). So the rest of the first caller's time limit is everybody's. The
#   signal of any other caller ends that call alone.
# Matters: a reader that closes a tab cancels the same query of the others, and code that takes AbortError for "we left" drops
#   it without a word. Do not hand signals to a deduplicating dispatcher; race its promise with them, or retry on AbortError
#   while your own signal is not aborted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact undici@8.13.1 node@26.10.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, interceptors, request } from 'undici'

let requests = 0
const server = createServer(async (_request, response) => {
  requests += 1
  await sleep(1000)
  response.end('answer')
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${server.address().port}/`
const deduplicating = new Agent().compose(interceptors.deduplicate())

async function ask(dispatcher, signal) {
  try {
    return await (await request(url, { dispatcher, signal })).body.text()
  } catch ({ name }) {
    return name
  }
}
/** Two callers ask at the same time; `who` has a signal that is aborted after 300 ms. */
async function both(dispatcher, who) {
  requests = 0
  const controller = new AbortController()
  const signals = [0, 1].map((index) => (index === who ? controller.signal : undefined))
  const answers = signals.map((signal) => ask(dispatcher, signal))
  await sleep(300)
  controller.abort()
  const [first, second] = await Promise.all(answers)
  return { first, second, requests }
}
const seen = {
  'the first leaves': await both(deduplicating, 0),
  'the second leaves': await both(deduplicating, 1),
  'without deduplicate': await both(new Agent(), 0),
}
console.log('expected: "answer" for whoever did not leave')
console.table(seen)
const same =
  Object.values(seen).map(({ first, second, requests }) => [first, second, requests].join(' ')).join() ===
  'AbortError AbortError 1,answer AbortError 1,AbortError answer 2'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
