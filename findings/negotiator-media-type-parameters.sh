#!/usr/bin/env bash
# negotiator 1.1.0: "Accept: application/graphql-response+json; charset=utf-8" does not accept that media type
#
# Remembered: RFC 9110, 12.5.1, lets parameters narrow a range (text/html;level=1), but a charset says nothing about
#   a JSON type, and the specification "GraphQL over HTTP" recommends this very header to clients, charset included,
#   since it stands before "application/json; charset=utf-8" in its example. Relay's guide sends it, too.
# Seen: every parameter of a range must be in the offer. Offered without the charset, nothing is acceptable and the
#   server answers 406. The other direction is lenient: an offer with a charset matches a range without. An offer with
#   the charset does not help clients that write charset=UTF8 or another parameter.
# Matters: a GraphQL server that picks its response type with this package (Express and Koa use it) refuses clients
#   that follow the recommendation. Offer both spellings, or drop parameters of the ranges but q first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact negotiator@1.1.0

cat > check.mjs <<'JS'
import Negotiator from 'negotiator'

const pick = (accept, offers) => new Negotiator({ headers: { accept } }).mediaType(offers) ?? 'nothing acceptable'
const plain = ['application/graphql-response+json', 'application/json']
const recommended = 'application/graphql-response+json; charset=utf-8, application/json; charset=utf-8'
const seen = {
  recommended: pick(recommended, plain),
  'without charset': pick('application/graphql-response+json, application/json', plain),
  'charset only in the offer': pick('application/json', ['application/json; charset=utf-8']),
}
console.log('expected: a media type on every line')
console.log('seen:', seen)
const same =
  seen.recommended === 'nothing acceptable' &&
  seen['without charset'] === plain[0] &&
  seen['charset only in the offer'] === 'application/json; charset=utf-8'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
