#!/usr/bin/env bash
# zod 4.6.7 (against 4.3.6): an absent key of type z.coerce.boolean(), z.unknown() or z.any() is an error now
#
# Remembered: these types accept undefined, so an object without the key parses; z.coerce.boolean() makes it false.
#   That was so in zod 3 and in zod 4 until at least 4.3.6, and is how people read optional flags of query strings and
#   settings.
# Seen: in 4.6.7 the same schema rejects the object with "expected nonoptional, received undefined". The type alone
#   still accepts undefined, and so does the object when the key is there with the value undefined: two inputs that
#   look the same in JSON.stringify and in TypeScript's optional properties.
# Matters: a minor update turns requests and environments that were valid into errors, and the words of the error do
#   not name the cause. Write .optional() or .default(…) on every key that may be absent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact zod@4.6.7 zod-before@npm:zod@4.3.6

cat > check.mjs <<'JS'
import * as now from 'zod'
import * as before from 'zod-before'

const outcome = ({ success, error }) => (success ? 'accepted' : error.issues[0].message)
function run({ z }) {
  const flag = z.object({ flag: z.coerce.boolean() })
  return {
    'coerce.boolean, key absent': outcome(flag.safeParse({})),
    'coerce.boolean, key undefined': outcome(flag.safeParse({ flag: undefined })),
    'coerce.boolean alone': outcome(z.coerce.boolean().safeParse(undefined)),
    'unknown, key absent': outcome(z.object({ value: z.unknown() }).safeParse({})),
  }
}
const seen = { '4.3.6': run(before), '4.6.7': run(now) }
console.log('expected: accepted in all places')
console.log('seen:', seen)
const rejected = 'Invalid input: expected nonoptional, received undefined'
const after = seen['4.6.7']
const same =
  Object.values(seen['4.3.6']).every((result) => result === 'accepted') &&
  after['coerce.boolean, key absent'] === rejected &&
  after['unknown, key absent'] === rejected &&
  after['coerce.boolean, key undefined'] === 'accepted' &&
  after['coerce.boolean alone'] === 'accepted'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
