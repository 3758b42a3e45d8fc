#!/usr/bin/env bash
# graphql-jit 0.8.9 with graphql 16.15.0: a default value of a non-null variable or input field is not applied
#
# Documented: the README, "Differences to graphql-js", names resolvers of computed properties and promises, and
#   nothing about variables. The specification ("Coercing Variable Values", "Input Objects") applies the default value
#   when a variable or field of a non-null type is absent, and calls that valid.
# Seen: query($x: Int! = 7) without the variable answers 'Variable "$x" of required type "Int!" was not provided.' A
#   variable of an input type whose field is declared Int! = 5 answers 'Field … was not provided.' graphql-js answers
#   7 and 5, validate() finds nothing, and the nullable forms (Int = 7) work in both.
# Matters: `first: Int! = 20` is the usual way to write a page size. Whoever puts the compiler under a running
#   gateway breaks these clients with errors that blame them. Coerce variables with graphql-js first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact graphql@16.15.0 graphql-jit@0.8.9

cat > check.mjs <<'JS'
import { buildSchema, execute, parse, validate } from 'graphql'
import { compileQuery } from 'graphql-jit'

const schema = buildSchema('input Page { size: Int! = 5 } type Query { one(x: Int!): Int page(page: Page): Int }')
const fields = schema.getQueryType().getFields()
fields.one.resolve = (_, { x }) => x
fields.page.resolve = (_, { page }) => page.size

async function both(text, variableValues) {
  const document = parse(text)
  if (validate(schema, document).length > 0) throw new Error('The document must be valid.')
  const compiled = compileQuery(schema, document)
  const interpreted = await execute({ schema, document, variableValues })
  const jit = compiled.query ? await compiled.query(undefined, {}, variableValues) : compiled
  const short = ({ data, errors }) => (errors ? `error: ${errors[0].message}` : JSON.stringify(data))
  return { 'graphql-js': short(interpreted), 'graphql-jit': short(jit) }
}
const seen = {
  nullable: await both('query ($x: Int = 7) { one(x: $x) }', {}),
  'non-null': await both('query ($x: Int! = 7) { one(x: $x) }', {}),
  'input field': await both('query ($page: Page) { page(page: $page) }', { page: {} }),
}
console.log('expected: both columns the same')
console.table(seen)
const same =
  seen.nullable['graphql-jit'] === '{"one":7}' &&
  seen['non-null']['graphql-js'] === '{"one":7}' &&
  seen['non-null']['graphql-jit'].includes('was not provided') &&
  seen['input field']['graphql-js'] === '{"page":5}' &&
  seen['input field']['graphql-jit'].includes('was not provided')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
