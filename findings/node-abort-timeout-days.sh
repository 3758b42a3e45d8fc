#!/usr/bin/env bash
# AbortSignal.timeout() of Node.js 26.10.0: a limit of 25 days or more is over after one millisecond
#
# Documented: Node.js, "Globals", AbortSignal.timeout(delay): the milliseconds to wait. The DOM standard takes any whole number
#   up to 2 ** 53 - 1. Node.js checks the range and refuses more than 4,294,967,295, so less is a valid delay.
# Seen: delays from 2 ** 31 (24.9 days) to that limit abort at once, with an ordinary TimeoutError and one process warning
#   (TimeoutOverflowWarning). fetch() with such a signal fails before the server has answered.
# Matters: "30 days" for a subscription or a long job is a natural way to say "practically never", and becomes "never works". The
#   error says that the time is over. Clamp configured limits to 2,147,483,647, and leave the signal out for "no limit".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

process.removeAllListeners('warning')
const warnings = []
process.on('warning', ({ name }) => warnings.push(name))
const server = createServer((_request, response) => setTimeout(() => response.end('answer'), 300)).listen(0, '127.0.0.1')
await once(server, 'listening')

async function ask(days) {
  const delayMs = days * 24 * 3600 * 1000
  try {
    const signal = AbortSignal.timeout(delayMs)
    const url = `http://127.0.0.1:${server.address().port}/`
    const answer = await fetch(url, { signal }).then((response) => response.text(), ({ name }) => name)
    await sleep(50)
    return `${answer}, ${signal.aborted ? 'aborted' : 'not aborted'}`
  } catch ({ code }) {
    return code
  }
}
const seen = { '24 days': await ask(24), '30 days': await ask(30), '49 days': await ask(49), '50 days': await ask(50) }
console.log('Node.js', process.version)
console.log('expected: "answer, not aborted", or an error about the range')
console.log('seen:', seen, warnings)
const aborted = 'TimeoutError, aborted'
const same =
  Object.values(seen).join(' | ') === ['answer, not aborted', aborted, aborted, 'ERR_OUT_OF_RANGE'].join(' | ') &&
  warnings.includes('TimeoutOverflowWarning')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
