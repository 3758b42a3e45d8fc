#!/usr/bin/env bash
# prom-client 15.1.3 (Node.js 26.10.0): the percentiles of the event loop lag miss long blocks, and an idle process lags
#
# Documented: prom-client, "Default metrics": event loop lag among Node.js-specific metrics; nodejs_eventloop_lag_p99_seconds is
#   "the 99th percentile of the recorded event loop delays". Node.js, "Performance hooks", monitorEventLoopDelay(): nothing
#   says what a sample includes.
# Seen: one sample is taken each 10 ms, and a blocked loop takes none until it is free. A process that is blocked for one
#   second of each five, so that a fifth of all requests wait, has one bad sample in 400: p99 does not see it. Each sample
#   includes its own 10 ms, so an idle process reports a mean and a median lag of 10 ms.
# Matters: an alert on p99 > 0.2 s stays silent, and one on the mean cannot tell idle from busy. Alert on
#   nodejs_eventloop_lag_max_seconds (since the last scrape), and subtract eventLoopMonitoringPrecision from the rest.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact prom-client@15.1.3 node@26.10.0

cat > check.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises'
import { collectDefaultMetrics, register } from 'prom-client'

collectDefaultMetrics()
const names = ['mean', 'p50', 'p99', 'max']
async function scrape() {
  const text = await register.metrics()
  return Object.fromEntries(
    names.map((name) => [name, Number(new RegExp(`^nodejs_eventloop_lag_${name}_seconds (\\S+)`, 'm').exec(text)[1])]),
  )
}
await sleep(1000)
await scrape()
await sleep(4000)
const idle = await scrape()

const [start, blocks] = [performance.now(), 2]
for (let block = 0; block < blocks; block += 1) {
  await sleep(4000)
  const from = performance.now()
  while (performance.now() - from < 1000);
}
await sleep(50)
const share = (blocks * 1000) / (performance.now() - start)
const blocked = await scrape()

console.log('Node.js', process.version)
console.log(`expected: a p99 of 1 s for a process that is blocked in ${Math.round(share * 100)} % of the time,`)
console.log('          and nearly 0 for an idle one')
console.table({ idle, blocked })
const same =
  ['mean', 'p50'].every((name) => idle[name] > 0.009) &&
  blocked.p99 < 0.5 &&
  blocked.max >= 1 &&
  share > 0.15
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
