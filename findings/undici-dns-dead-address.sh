#!/usr/bin/env bash
# undici 8.13.1: with the dns interceptor, every second request fails while one of two addresses is down
#
# Documented: undici, "Interceptors", dns: it caches lookups, "so that repeated requests reuse the resolved IP address". Without
#   it, a connection tries the addresses of a name one after the other (net.connect, autoSelectFamily, on by default).
# Seen: the interceptor gives each request one address, in turns, so that no connection knows the others. An address that
#   refuses connections stays in its turn until its record expires, and its requests fail with ECONNREFUSED. Another address
#   is only tried if it is of the other family.
# Matters: an optimisation turns the loss of one of two servers, which nobody noticed before, into failures of half of the
#   requests. Compose retry() after dns(), so that it is the outer one (and repeat POST requests yourself), or cache lookups in
#   a `connect.lookup` that returns all addresses.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact undici@8.13.1 node@26.10.0

cat > check.mjs <<'JS'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Agent, interceptors, request } from 'undici'

// Listens on one of the two addresses that the name has.
const server = createServer((_request, response) => response.end('answer')).listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://two-servers.test:${server.address().port}/`
const addresses = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4, ttl: 60_000 }))
const lookup = (_host, { all }, done) => (all ? done(null, addresses) : done(null, addresses[0].address, 4))
const lookupAll = (_origin, _options, done) => done(null, addresses)

/** Sends six requests, each on a connection of its own. */
async function run(dispatcher) {
  const outcomes = []
  for (let round = 0; round < 6; round += 1)
    outcomes.push(
      await request(url, { dispatcher, reset: true }).then(({ body }) => body.text(), ({ code }) => code),
    )
  return { answers: outcomes.filter((each) => each === 'answer').length, error: outcomes.find((each) => each !== 'answer') }
}
const dns = () => interceptors.dns({ lookup: lookupAll })
const retry = () => interceptors.retry({ minTimeout: 10 })
const seen = {
  'without the interceptor': await run(new Agent({ connect: { lookup } })),
  'dns()': await run(new Agent().compose(dns())),
  'retry() inside of dns()': await run(new Agent().compose(retry(), dns())),
  'dns() inside of retry()': await run(new Agent().compose(dns(), retry())),
}
console.log('expected: 6 answers on each line')
console.table(seen)
const same =
  Object.values(seen).map(({ answers }) => answers).join() === '6,3,3,6' && seen['dns()'].error === 'ECONNREFUSED'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
