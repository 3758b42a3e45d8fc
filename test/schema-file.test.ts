import { readFile } from 'node:fs/promises'
import {
  GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  validateSchema,
} from 'graphql'
import { expect, test } from 'vitest'
import { schemaPicture } from '../scripts/schema-picture.ts'
import { schemaReference } from '../scripts/schema-reference.ts'
import { schemaTypes } from '../scripts/schema-types.ts'
import { printPossibleTypes, printSchemaFile, schema } from '../src/schema/index.ts'

test('schema.graphql is the schema; "npm run schema" prints it again', async () => {
  expect(await readFile(new URL('../schema.graphql', import.meta.url), 'utf8')).toBe(printSchemaFile())
})

test('possible-types.json names the types of each interface and union; "npm run schema" writes it', async () => {
  const file = await readFile(new URL('../possible-types.json', import.meta.url), 'utf8')
  expect(file).toBe(printPossibleTypes())
  const types = JSON.parse(file)
  expect(types.UserError).toContain('ValidationFailed')
  expect(types.SendMessageResult).toContain('SendMessagePayload')
})

test('docs/schema.md describes it; "npm run schema" writes it again', async () => {
  expect(await readFile(new URL('../docs/schema.md', import.meta.url), 'utf8')).toBe(schemaReference())
})

test('the picture of the types shows it; "npm run schema" draws it again', async () => {
  const picture = await readFile(new URL('../docs/pictures/types.svg', import.meta.url), 'utf8')
  expect(picture).toBe(await schemaPicture())
})

test('the typed client has its types; "npm run schema" writes them again', async () => {
  const types = new URL('../examples/typed-client/graphql-env.d.ts', import.meta.url)
  expect(await readFile(types, 'utf8')).toBe(schemaTypes())
})

test('what is deprecated says since when, and what to take instead', () => {
  const reasons = Object.values(schema.getTypeMap()).flatMap((type) =>
    isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)
      ? Object.values(type.getFields()).flatMap(({ deprecationReason }) => deprecationReason ?? [])
      : isEnumType(type)
        ? type.getValues().flatMap(({ deprecationReason }) => deprecationReason ?? [])
        : [],
  )
  for (const reason of reasons) expect(reason).toMatch(/^\d{4}-\d\d-\d\d: .{10}/)
})

test('the schema is valid', () => {
  expect(validateSchema(new GraphQLSchema({ ...schema.toConfig(), assumeValid: false }))).toEqual([])
})

test('everything has a description', () => {
  const missing: string[] = []
  const check = (name: string, { description }: { description?: string | null | undefined }) => {
    if (!description) missing.push(name)
  }
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type)) continue
    check(type.name, type)
    if (isEnumType(type)) for (const value of type.getValues()) check(`${type.name}.${value.name}`, value)
    if (isInputObjectType(type))
      for (const field of Object.values(type.getFields())) check(`${type.name}.${field.name}`, field)
    if (isObjectType(type) || isInterfaceType(type))
      for (const field of Object.values(type.getFields())) {
        check(`${type.name}.${field.name}`, field)
        for (const argument of field.args) check(`${type.name}.${field.name}(${argument.name})`, argument)
      }
  }
  expect(missing).toEqual([])
})
