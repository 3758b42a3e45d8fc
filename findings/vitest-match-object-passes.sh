#!/usr/bin/env bash
# vitest 5.1.2: toMatchObject() with a RegExp, a URL or a Temporal date expects nothing
#
# Documented: vitest, "expect", toMatchObject: the object has the given subset of properties. toEqual compares the same values,
#   and node:assert has a matcher that takes a RegExp for a text (assert.throws).
# Seen: where the expected property is a RegExp, a URL, a Temporal object or an ArrayBuffer, every value passes: another one of
#   its kind, a text, a number, even undefined. toEqual fails as it should, except with ArrayBuffers, which pass there as well,
#   whatever their bytes and lengths; toStrictEqual compares those. A Date, a Map and a Uint8Array are compared.
# Matters: toMatchObject({ errors: [/not found/] }) looks like a check of the text and checks that there is one element. Write
#   expect.stringMatching(/not found/), compare String(url), and wrap bytes: new Uint8Array(await response.arrayBuffer()).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact vitest@5.1.2 node@26.10.0

cat > check.test.mjs <<'JS'
import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const bytes = (...values) => new Uint8Array(values)
const cases = [
  ['RegExp, another text', 'all is well', /not found/],
  ['RegExp, undefined', undefined, /not found/],
  ['URL, another URL', new URL('http://a.test/'), new URL('http://b.test/')],
  ['URL, a number', 7, new URL('http://b.test/')],
  ['Temporal, another day', Temporal.PlainDate.from('2026-01-01'), Temporal.PlainDate.from('2027-12-31')],
  ['ArrayBuffer, other bytes', bytes(1, 2).buffer, bytes(3).buffer],
  ['Date, another one', new Date(0), new Date(1)],
  ['Uint8Array, other bytes', bytes(1), bytes(2)],
]
function passes(check) {
  try {
    check()
    return true
  } catch {
    return false
  }
}
test('what passes', () => {
  const rows = cases.map(([title, value, expected]) => [
    title,
    {
      toMatchObject: passes(() => expect({ value }).toMatchObject({ value: expected })),
      toEqual: passes(() => expect({ value }).toEqual({ value: expected })),
      toStrictEqual: passes(() => expect({ value }).toStrictEqual({ value: expected })),
    },
  ])
  writeFileSync('seen.json', JSON.stringify(Object.fromEntries(rows)))
})
JS
cat > check.mjs <<'JS'
import { readFileSync } from 'node:fs'

const seen = JSON.parse(readFileSync('seen.json', 'utf8'))
console.log('Node.js', process.version)
console.log('expected: false everywhere, since the values differ')
console.table(seen)
const outcomes = Object.values(seen).map((row) => Object.values(row).map(Number).join(''))
const same = outcomes.join() === '100,100,100,100,100,110,000,000'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 50 node_modules/.bin/node node_modules/vitest/vitest.mjs run --silent > log 2>&1 || cat log
timeout 10 node_modules/.bin/node check.mjs
