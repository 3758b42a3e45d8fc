import {
  type GraphQLInterfaceType,
  type GraphQLOutputType,
  type GraphQLUnionType,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isRequiredArgument,
  parse,
  validate,
} from 'graphql'
import { expect, test } from 'vitest'
import { schema } from '../src/schema/index.ts'

/** A number for users and messages, a text for flows and threads: nobody shows them beside each other. */
const exceptions = ['Node.databaseId']

/** Two fields of one name and different shapes cannot be selected together. [spec] GraphQL, "Field Selection Merging" */
function shapeOf(type: GraphQLOutputType): string {
  if (isNonNullType(type)) return `${shapeOf(type.ofType)}!`
  if (isListType(type)) return `[${shapeOf(type.ofType)}]`
  return isCompositeType(type) ? '{}' : type.name
}

function conflictsOf(type: GraphQLInterfaceType | GraphQLUnionType): string[] {
  const shapes = new Map<string, Map<string, string[]>>()
  for (const possible of schema.getPossibleTypes(type))
    for (const field of Object.values(possible.getFields())) {
      const ofName = shapes.get(field.name) ?? new Map<string, string[]>()
      shapes.set(field.name, ofName)
      const shape = shapeOf(field.type)
      ofName.set(shape, [...(ofName.get(shape) ?? []), possible.name])
    }
  return [...shapes]
    .filter(([name, { size }]) => size > 1 && !exceptions.includes(`${type.name}.${name}`))
    .map(([name, ofName]) => `${type.name}.${name}: ${JSON.stringify([...ofName])}`)
}

test('types that can be listed together declare a field of one name with one type', () => {
  const abstract = Object.values(schema.getTypeMap()).filter(isAbstractType)
  expect(abstract.length).toBeGreaterThan(20)
  expect(abstract.flatMap(conflictsOf)).toEqual([])
})

test.each(['Message', 'FlowEvent', 'Author', 'UserError'])(
  'one list can select every field of every implementation of %s',
  (name) => {
    const type = schema.getType(name)
    if (!isInterfaceType(type)) throw new Error(`${name} is no interface`)
    const fragments = schema.getPossibleTypes(type).map((possible) => {
      const fields = Object.values(possible.getFields())
        .filter((field) => !field.args.some(isRequiredArgument))
        .map((field) =>
          isCompositeType(getNamedType(field.type)) ? `${field.name} { __typename }` : field.name,
        )
      return `... on ${possible.name} { ${fields.join(' ')} }`
    })
    expect(fragments.length).toBeGreaterThan(1)
    const document = parse(`fragment All on ${name} { ${fragments.join('\n')} } query { __typename ...Root }
      fragment Root on Query { __typename }`)
    const errors = validate(schema, document).filter(({ message }) => !message.includes('is never used'))
    expect(errors).toEqual([])
  },
)

test('a mutation has an input type of its own, named after it', () => {
  const fields = Object.values(schema.getMutationType()?.getFields() ?? {})
  expect(fields.length).toBeGreaterThan(30)
  for (const { name, args } of fields)
    expect([name, args.map((arg) => getNamedType(arg.type).name)]).toEqual([
      name,
      [`${name[0]?.toUpperCase()}${name.slice(1)}Input`],
    ])
})

test('scalars of this schema say which specification they follow', () => {
  for (const name of ['DateTime', 'JSON', 'Upload'])
    expect(schema.getType(name)).toMatchObject({
      specifiedByURL: expect.stringMatching(/^https:\/\/(www\.rfc-editor\.org|github\.com)\//),
    })
})
