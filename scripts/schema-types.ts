/** Writes the schema as types, for the example of a typed client. `npm run schema` runs it. */
import { writeFile } from 'node:fs/promises'
import { minifyIntrospection, outputIntrospectionFile } from '@gql.tada/internal'
import { introspectionFromSchema } from 'graphql'
import { sortSchema } from '../src/schema/index.ts'

const schema = sortSchema()

const file = new URL('../examples/typed-client/graphql-env.d.ts', import.meta.url)

export function schemaTypes(): string {
  const introspection = minifyIntrospection(introspectionFromSchema(schema, { descriptions: false }))
  return outputIntrospectionFile(introspection, { fileType: '.d.ts', shouldPreprocess: true })
}

if (import.meta.main) await writeFile(file, schemaTypes())
