#!/usr/bin/env bash
# undici 8.13.1: RetryAgent completes a cut download with bytes of another version of the file
#
# Documented: undici, "RetryHandler": a partially consumed response is resumed with a Range request that is guarded by the
#   original ETag. RFC 9110, 15.3.7.3: parts may be combined only if they share the same strong validator.
# Seen: without an ETag, or with a weak one, the rest is asked for without any condition, and whatever comes is appended.
#   Last-Modified is neither sent back (If-Range) nor compared, and a changed weak ETag is not noticed. The caller gets status
#   200, the right length, and the first half of one version with the second half of another. With a strong ETag it is refused.
# Matters: weak ETags are what servers send for compressed and for many static files, so a retried download can be silently
#   corrupt. Retry whole downloads yourself, or compare a checksum.
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
import { Agent, RetryAgent } from 'undici'

const byteSize = 1000
const versions = [
  { letter: 'A', time: 'Thu, 01 Jan 2026 00:00:00 GMT' },
  { letter: 'B', time: 'Fri, 02 Jan 2026 00:00:00 GMT' },
]
const requests = []
/** Cuts the first response of each file after 400 bytes. Meanwhile the file is replaced. */
const server = createServer(async ({ url, headers }, response) => {
  const later = headers.range !== undefined
  requests.push(Object.keys(headers).filter((name) => /^(range|if-)/.test(name)).join(' '))
  const { letter, time } = versions[later ? 1 : 0]
  response.setHeader('last-modified', time)
  if (url === '/weak') response.setHeader('etag', `W/"${letter}"`)
  if (url === '/strong') response.setHeader('etag', `"${letter}"`)
  if (headers['if-match'] !== undefined) {
    response.writeHead(412).end()
    return
  }
  const start = later ? Number(/^bytes=(\d+)-/.exec(headers.range)[1]) : 0
  response.writeHead(later ? 206 : 200, {
    'content-length': byteSize - start,
    ...(later ? { 'content-range': `bytes ${start}-${byteSize - 1}/${byteSize}` } : {}),
  })
  if (later) response.end(letter.repeat(byteSize - start))
  else {
    response.write(letter.repeat(400))
    await sleep(200)
    response.destroy()
  }
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const agent = new RetryAgent(new Agent(), { minTimeout: 10 })

async function download(path) {
  requests.length = 0
  const origin = `http://127.0.0.1:${server.address().port}`
  const got = await agent.request({ origin, method: 'GET', path }).then(
    async ({ statusCode, body }) => {
      const text = await body.text().catch(({ message }) => message)
      return `${statusCode} ${text.replace(/([AB])\1*/g, (run, letter) => `${letter}×${run.length} `)}`
    },
    ({ message }) => message,
  )
  return { got: got.trim(), 'second request has': requests[1] }
}
const seen = { 'Last-Modified': await download('/'), weak: await download('/weak'), strong: await download('/strong') }
console.log('expected: one version, or an error, on each line')
console.table(seen)
const mixed = '200 A×400 B×600'
const same = seen['Last-Modified'].got === mixed && seen.weak.got === mixed && !seen.strong.got.includes('×600')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
