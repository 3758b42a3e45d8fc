import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql'
import type { TestBackend } from './backend.ts'

/** Numbers from 0 to 1, the same for the same seed. */
export type Random = () => number

/** [spec] mulberry32 */
export function createRandom(seed: number): Random {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What is put into the arguments of generated queries, by type. */
export type Literals = Readonly<Record<string, readonly string[]>>

/** Literals of what the demo has, and of what it does not have. */
export async function demoLiterals({ as }: TestBackend): Promise<Literals> {
  const { json: flow } = await as('Ada')('GET', '/flows/example/engineering')
  const ids = ['User:2', `Flow:${flow.id}`, `Message:${flow.id}:3`].map((key) =>
    Buffer.from(key).toString('base64url'),
  )
  return {
    Int: ['1', '3', '100', '0', '-1', '101', '7'],
    Boolean: ['true', 'false'],
    String: ['"release"', '"example/main"', '"nonsense"', '""'],
    DateTime: ['"2020-01-01T00:00:00.000Z"', '"2030-01-01T00:00:00.000Z"'],
    ID: [...ids.map((id) => JSON.stringify(id)), '"nonsense"'],
    FlowBy: ['{ path: "example/main" }', '{ path: "example/engineering" }', '{ path: "example/nowhere" }'],
  }
}

export interface GeneratorOptions {
  readonly schema: GraphQLSchema
  /** Values to put in, by the name of a type: as GraphQL writes them. */
  readonly values: Literals
  /** How deep selections nest. */
  readonly depth: number
  /** The fields that may be selected; all unless given. */
  readonly selects?: (field: GraphQLField<unknown, unknown>) => boolean
}

/** Fewer than a document may have. */
const maxAliases = 28

/** Values of types for which a test has none: any JSON, and filters, which hold filters. */
const usualValues: Readonly<Record<string, readonly string[]>> = {
  JSON: ['1', '"text"', 'true', 'null'],
  ThingsFilter: [
    '{ exists: "elems.value" }',
    '{ not: { compare: { member: "value", comparison: LESS, value: 2 } } }',
    '{ or: [{ hasType: "string" }, { matches: { pattern: "a(b" } }] }',
  ],
}

/** A query that the schema allows. */
export function generateQuery(options: GeneratorOptions, random: Random): string {
  return generateSelection(options, 'Query', random)
}

/** A selection that the schema allows of one type. */
export function generateSelection(
  { schema, values, depth, selects = () => true }: GeneratorOptions,
  typeName: string,
  random: Random,
): string {
  /** Fields of different types under one name would not go together. */
  let names = 0

  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const some = <T>(items: readonly T[], most: number): T[] => {
    const left = [...items]
    const count = 1 + Math.floor(random() * Math.min(most, left.length))
    return Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)[0] as T)
  }

  function value(type: GraphQLInputType, level: number): string {
    const inner = getNullableType(type)
    if (isListType(inner)) {
      const items = Array.from({ length: Math.floor(random() * 3) }, () => value(inner.ofType, level + 1))
      return `[${items.join(', ')}]`
    }
    const named = getNamedType(inner)
    const known = values[named.name] ?? usualValues[named.name]
    if (known !== undefined) return pick(known)
    if (isEnumType(named)) return pick(named.getValues()).name
    if (isInputObjectType(named)) {
      const fields = Object.values(named.getFields())
      const given = named.isOneOf
        ? [pick(fields)]
        : fields.filter((field) => isNonNullType(field.type) || (level < 2 && random() < 0.3))
      const parts = given.map((field) => `${field.name}: ${value(field.type, level + 1)}`)
      return `{ ${parts.join(', ')} }`
    }
    throw new Error(`Nothing is known to put in for ${named.name}`)
  }

  function args(list: readonly GraphQLArgument[]): string {
    const given = list.filter(
      (arg) => (isNonNullType(arg.type) && arg.defaultValue === undefined) || random() < 0.25,
    )
    if (given.length === 0) return ''
    return `(${given.map((arg) => `${arg.name}: ${value(arg.type, 0)}`).join(', ')})`
  }

  function selection(type: GraphQLNamedType, level: number): string {
    if (isUnionType(type) || (isInterfaceType(type) && random() < 0.4)) {
      const kinds = isUnionType(type) ? type.getTypes() : schema.getPossibleTypes(type)
      const parts = some(kinds, 2).map((kind) => `... on ${kind.name} ${selection(kind, level)}`)
      return `{ __typename ${parts.join(' ')} }`
    }
    if (!isObjectType(type) && !isInterfaceType(type))
      throw new Error(`Nothing can be selected of ${type.name}`)
    const fields = Object.values(type.getFields()).filter(
      (field) => selects(field) && (level < depth || isLeafType(getNamedType(field.type))),
    )
    if (fields.length === 0) return '{ __typename }'
    const parts = some(fields, level === 0 ? 2 : 4).map((field) => {
      const inner = getNamedType(field.type)
      names += 1
      // There are no more aliases to have, and without one it might not go with a field of another type.
      if (names > maxAliases) return '__typename'
      const of = isLeafType(inner) ? '' : ` ${selection(inner, level + 1)}`
      return `f${names}: ${field.name}${args(field.args)}${of}`
    })
    return `{ ${parts.join(' ')} }`
  }

  const type = schema.getType(typeName)
  if (type === undefined) throw new Error(`The schema has no ${typeName}`)
  return selection(type, 0)
}
