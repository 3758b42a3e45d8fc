#!/usr/bin/env bash
# graphql 16.15.0: a valid document of a few hundred fragment spreads fails validation with "Validation aborted."
#
# Documented: validate() stops early when there are more errors than maxErrors (graphql-js API reference,
#   "validate", ValidationOptions). A document without errors has no limit there.
# Seen: OverlappingFieldsCanBeMergedRule has a fixed budget of 500,000 comparisons and ends validation with the one
#   error "Validation aborted." when it is spent. Comparisons grow with the square of the spreads or of the repeated
#   fields: 100 spreads pass, 500 fail, although each spreads one scalar field and nothing conflicts. The error has no
#   location, and maxErrors neither moves the limit nor prevents the error.
# Matters: generated operations (one fragment for each component, batching tools, stitched documents) meet this
#   without any warning in the message, and the limit cannot be set. The error looks like that of maxErrors and is
#   not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact graphql@16.15.0

cat > check.mjs <<'JS'
import { buildSchema, parse, validate } from 'graphql'

const schema = buildSchema('type Query { a: Int }')
const numbers = (count) => Array.from({ length: count }, (_, index) => index)
const spreads = (count) =>
  `{ ${numbers(count).map((n) => `...F${n}`).join(' ')} } ` +
  numbers(count).map((n) => `fragment F${n} on Query { a }`).join(' ')
const check = (text, options) => {
  const errors = validate(schema, parse(text), undefined, options)
  return errors.map(({ message, locations }) => [message, locations ?? 'no location'])
}
const seen = {
  100: check(spreads(100)),
  500: check(spreads(500)),
  '500 with maxErrors 100000': check(spreads(500), { maxErrors: 100_000 }),
}
console.log('expected: no errors for 100 spreads and for 500')
console.log('seen:', JSON.stringify(seen))
const aborted = (errors) => errors.length === 1 && errors[0][0] === 'Validation aborted.'
const same = seen[100].length === 0 && aborted(seen[500]) && aborted(seen['500 with maxErrors 100000'])
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 40 node check.mjs
