#!/usr/bin/env bash
# node:assert of Node.js 26.10.0: any two Temporal dates, durations or times are deeply equal
#
# Documented: Node.js, "Assert", deepStrictEqual(): dates and regular expressions are compared by value, and so are wrapped
#   primitives and the contents of Map and Set. Temporal is part of this version, without a flag.
# Seen: Temporal objects of one class are always equal to assert.deepStrictEqual(), assert.partialDeepStrictEqual() and
#   util.isDeepStrictEqual(), whatever they hold, and so are Headers, URLSearchParams and FormData. A Date, a URL and an
#   ArrayBuffer are compared.
# Matters: a test that moves from Date to Temporal goes on passing when the code under test computes another day, and a cache
#   that compares its keys with isDeepStrictEqual() takes all days for one. Compare with a.equals(b) or with a.toString().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > check.mjs <<'JS'
import assert from 'node:assert'
import { isDeepStrictEqual } from 'node:util'

const pairs = {
  'Temporal.Instant': ['2026-01-01T00:00Z', '2027-12-31T00:00Z'].map((text) => Temporal.Instant.from(text)),
  'Temporal.PlainDate': ['2026-01-01', '2027-12-31'].map((text) => Temporal.PlainDate.from(text)),
  'Temporal.Duration': ['PT1S', 'P9Y'].map((text) => Temporal.Duration.from(text)),
  Headers: ['1', '2'].map((value) => new Headers({ value })),
  URLSearchParams: ['a=1', 'b=2&c=3'].map((text) => new URLSearchParams(text)),
  Date: [new Date(0), new Date(1)],
  URL: [new URL('http://a.test/'), new URL('http://b.test/')],
  ArrayBuffer: [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
}
function passes(compare) {
  try {
    compare()
    return true
  } catch {
    return false
  }
}
const seen = {}
for (const [kind, [left, right]] of Object.entries(pairs))
  seen[kind] = {
    deepStrictEqual: passes(() => assert.deepStrictEqual({ at: left }, { at: right })),
    partialDeepStrictEqual: passes(() => assert.partialDeepStrictEqual({ at: left }, { at: right })),
    isDeepStrictEqual: isDeepStrictEqual(left, right),
  }
console.log('Node.js', process.version)
console.log('expected: false everywhere, since the values differ')
console.table(seen)
const compared = ['Date', 'URL', 'ArrayBuffer']
const same = Object.entries(seen).every(([kind, row]) =>
  Object.values(row).every((isEqual) => isEqual === !compared.includes(kind)),
)
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
