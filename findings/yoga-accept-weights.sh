#!/usr/bin/env bash
# graphql-yoga 5.24.1: the weights (q) of the Accept header are not looked at, q=0 included
#
# Documented: Yoga follows "GraphQL over HTTP", which leaves the choice to content negotiation; RFC 9110, 12.4.2 and
#   12.5.1: the server prefers the type with the higher q, and q=0 means "not acceptable".
# Seen: the first listed type that Yoga can write wins. "application/json;q=0.5, application/graphql-response+json"
#   is answered with application/json, and "application/graphql-response+json;q=0, application/json" with the type
#   that was excluded.
# Matters: the type decides the status: an invalid query is 400 with the one and 200 with the other. Clients and
#   proxies that sort by q get the statuses they declined, and monitoring that counts 4xx is wrong. List the preferred
#   type first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact graphql-yoga@5.24.1 graphql@16.15.0 node@26.10.0

cat > check.mjs <<'JS'
import { createSchema, createYoga } from 'graphql-yoga'

const yoga = createYoga({ logging: false, schema: createSchema({ typeDefs: 'type Query { a: Int }' }) })
async function ask(accept) {
  const response = await yoga.fetch('http://127.0.0.1/graphql', {
    method: 'POST',
    headers: { accept, 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ unknown }' }),
  })
  await response.text()
  return `${response.status} ${response.headers.get('content-type').split(';')[0]}`
}
const preferred = await ask('application/json;q=0.5, application/graphql-response+json')
const excluded = await ask('application/graphql-response+json;q=0, application/json')
console.log('expected: 400 application/graphql-response+json, then 200 application/json')
console.log('seen:', preferred, 'then', excluded)
const same = preferred === '200 application/json' && excluded === '400 application/graphql-response+json'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
