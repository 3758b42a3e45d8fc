#!/usr/bin/env bash
# undici 8.13.1: interceptors.responseError() throws away the body of application/graphql-response+json
#
# Documented: undici, "Interceptors", responseError: bodies of application/json and text/plain are decoded, JSON is
#   parsed, and exposed as error.body. Of other types one expects the raw text or bytes.
# Seen: error.body is the empty string for every other type, the +json types and problem+json among them. The bytes
#   were read and are gone: the error has no stream.
# Matters: a server that follows GraphQL over HTTP answers a bad request with status 400 and this media type.
#   Through this interceptor the caller learns "Response Error" and never what was wrong with the query. Check
#   statusCode by hand instead.
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

const types = ['application/json', 'application/graphql-response+json', 'application/problem+json']
const server = createServer(({ url }, response) =>
  response.writeHead(400, { 'content-type': types[url.slice(1)] }).end('{"errors":[{"message":"The reason."}]}'),
).listen(0, '127.0.0.1')
await once(server, 'listening')
const dispatcher = new Agent().compose(interceptors.responseError())
const seen = {}
for (const [index, type] of types.entries())
  try {
    await request(`http://127.0.0.1:${server.address().port}/${index}`, { dispatcher })
  } catch ({ statusCode, body }) {
    seen[type] = { statusCode, body: JSON.stringify(body) }
  }
console.log('expected: the body, parsed or as text, on every line')
console.table(seen)
const same =
  seen[types[0]]?.body.includes('The reason.') && seen[types[1]]?.body === '""' && seen[types[2]]?.body === '""'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
