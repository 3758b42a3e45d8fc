#!/usr/bin/env bash
# graphql 16.15.0: validate() throws for a subscription field with @skip(if: $variable)
#
# Documented: validate() returns a list of errors, empty for a valid document (graphql-js API reference,
#   "validate"). The October 2021 edition of the specification allows a condition on the field of a subscription;
#   later text forbids it, and graphql 17.1.0 says so with one error in the list.
# Seen: a GraphQLError is thrown. SingleFieldSubscriptionsRule runs collectFields() with no variables, and that
#   evaluates the directive. A default value of the variable does not help. The same document as a query returns [].
# Matters: a gateway that trusts the return type answers a 500 or closes the whole WebSocket, for a document that a
#   client may well send. Calls of validate() need a catch that turns a GraphQLError into a GraphQL response.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact graphql@16.15.0 graphql-next@npm:graphql@17.1.0

cat > check.mjs <<'JS'
import * as current from 'graphql'
import * as next from 'graphql-next'

function outcome(text, { buildSchema, parse, validate } = current) {
  const schema = buildSchema('type Query { a: Int } type Subscription { a: Int }')
  try {
    return `returned ${validate(schema, parse(text)).length} errors`
  } catch (error) {
    return `threw ${error.name}`
  }
}
const seen = {
  query: outcome('query ($x: Boolean!) { a @skip(if: $x) }'),
  'subscription, literal': outcome('subscription { a @skip(if: false) }'),
  'subscription, variable': outcome('subscription ($x: Boolean!) { a @skip(if: $x) }'),
  'subscription, default': outcome('subscription ($x: Boolean = false) { a @include(if: $x) }'),
  'subscription, variable, 17.1.0': outcome('subscription ($x: Boolean!) { a @skip(if: $x) }', next),
}
console.log('expected: every line "returned …"')
console.log('seen:', seen)
const same =
  seen.query === 'returned 0 errors' &&
  seen['subscription, variable'] === 'threw GraphQLError' &&
  seen['subscription, default'] === 'threw GraphQLError' &&
  seen['subscription, variable, 17.1.0'] === 'returned 1 errors'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
