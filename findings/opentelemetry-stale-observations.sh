#!/usr/bin/env bash
# @opentelemetry/sdk-metrics 3.1.1: a value that the callback no longer observes is exported for ever
#
# Documented: OpenTelemetry specification, "Metrics SDK", Observations inside asynchronous callbacks: no data for a previously
#   observed attribute set that is not observed during a successful callback.
# Seen: an observable gauge reports the open connections of each broker. After a broker is removed, its last value is exported
#   at each interval, with the time of that export, until the process ends; so it is when the callback observes nothing at
#   all. It is the same with observable counters and up-down counters. With delta temporality it is not exported.
# Matters: a dashboard shows a queue, a connection or a tenant that is gone with its last figure, an alert on it never ends,
#   and the memory for names that come and go grows until the cardinality limit. Observe 0 for what has gone, or use
#   prom-client and reset() in `collect`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact @opentelemetry/api@1.10.0 @opentelemetry/sdk-metrics@3.1.1

cat > check.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'

async function run(kind, temporality) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality[temporality])
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000, exportTimeoutMillis: 1000 })
  const provider = new MeterProvider({ readers: [reader] })
  let connections = { north: 7, south: 2 }
  provider.getMeter('check')[`createObservable${kind}`]('connections').addCallback((result) => {
    for (const [broker, count] of Object.entries(connections)) result.observe(count, { broker })
  })
  async function exported() {
    exporter.reset()
    await reader.forceFlush()
    const [metric] = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
    return (metric?.dataPoints ?? []).map(({ attributes, value, endTime: [seconds] }) => ({
      text: `${attributes.broker} ${value}`,
      seconds,
    }))
  }
  const first = await exported()
  connections = { south: 3 }
  await sleep(1100)
  const second = await exported()
  connections = {}
  const third = await exported()
  await provider.shutdown()
  const texts = (points) => points.map(({ text }) => text).join(', ')
  const north = (points) => points.find(({ text }) => text.startsWith('north'))?.seconds
  return {
    'both observed': texts(first),
    'only south': texts(second),
    none: texts(third),
    'north is dated anew': north(second) > north(first),
  }
}
const seen = {
  'gauge, cumulative': await run('Gauge', 'CUMULATIVE'),
  'counter, cumulative': await run('Counter', 'CUMULATIVE'),
  'gauge, delta': await run('Gauge', 'DELTA'),
}
console.log('expected: no "north" in the second column, and nothing in the third')
console.table(seen)
const gauge = seen['gauge, cumulative']
const same =
  gauge['only south'] === 'north 7, south 3' &&
  gauge.none === 'north 7, south 3' &&
  gauge['north is dated anew'] &&
  seen['counter, cumulative'].none.includes('north') &&
  seen['gauge, delta']['only south'] === 'south 3'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
