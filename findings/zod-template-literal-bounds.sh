#!/usr/bin/env bash
# zod 4.6.7: bounds and refinements inside z.templateLiteral() are dropped without an error
#
# Documented: zod, "Template literals": the parts may be schemas, and are enforced by a regular expression made of
#   them. Lengths and patterns of strings are part of it.
# Seen: z.templateLiteral(['page-', z.number().min(1).max(100)]) accepts 'page-5000' and 'page--3'. min, max,
#   positive and multipleOf of numbers, refine() of strings, and z.url() have no effect; z.string().max(2), z.enum()
#   and z.iso.date() do. Building the schema does not warn.
# Matters: cursors, ids and cache keys with a number in them look validated and are not. Parse the pieces separately
#   after splitting.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact zod@4.6.7

cat > check.mjs <<'JS'
import { z } from 'zod'

const cases = {
  'number max 100': [z.number().min(1).max(100), '5000'],
  'number positive': [z.number().positive(), '-3'],
  'number multipleOf 5': [z.number().multipleOf(5), '7'],
  'string refined': [z.string().refine((text) => text === 'first'), 'last'],
  'string max 2': [z.string().max(2), 'abc'],
  'iso.date': [z.iso.date(), '2024-02-30'],
}
const seen = {}
for (const [name, [part, text]] of Object.entries(cases))
  seen[name] = {
    alone: part.safeParse(part instanceof z.ZodNumber ? Number(text) : text).success,
    'in a template': z.templateLiteral(['page-', part]).safeParse(`page-${text}`).success,
  }
console.log('expected: false everywhere')
console.table(seen)
const inTemplate = Object.values(seen).map((result) => result['in a template'])
const same =
  Object.values(seen).every(({ alone }) => !alone) && inTemplate.join() === 'true,true,true,true,false,false'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
