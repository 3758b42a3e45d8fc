/** Writes `docs/schema.md`: every type of the schema with its fields, for readers. `npm run schema` runs it. */
import { writeFile } from 'node:fs/promises'
import {
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isScalarType,
  isSpecifiedScalarType,
  isUnionType,
} from 'graphql'
import { sortSchema } from '../src/schema/index.ts'

const schema = sortSchema()

const file = new URL('../docs/schema.md', import.meta.url)

/** The types in the groups readers look for them in, each with those its matcher takes; the first match counts. */
const groups: [title: string, matches: (type: GraphQLNamedType) => boolean][] = [
  ['Where to begin', ({ name }) => ['Query', 'Mutation', 'Subscription'].includes(name)],
  ['Events', (type) => type.name === 'FlowEvent' || implementsInterface(type, 'FlowEvent')],
  ['Messages', (type) => type.name === 'Message' || implementsInterface(type, 'Message')],
  [
    'Failures',
    (type) =>
      type.name === 'UserError' || implementsInterface(type, 'UserError') || type.name === 'FieldProblem',
  ],
  ['Answers of mutations', ({ name }) => name.endsWith('Payload')],
  ['Results of mutations', (type) => isUnionType(type) && type.name.endsWith('Result')],
  ['Lists', ({ name }) => /(Connection|Edge)$|^PageInfo$/.test(name)],
  ['Objects', (type) => isObjectType(type) || isInterfaceType(type) || isUnionType(type)],
  ['Inputs', isInputObjectType],
  ['Enums', isEnumType],
  ['Scalars', isScalarType],
]

export function schemaReference(): string {
  const types = Object.values(schema.getTypeMap())
    .filter((type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const left = new Set(types)
  const sections = groups.map(([title, matches]) => {
    const members = [...left].filter(matches)
    for (const type of members) left.delete(type)
    return `## ${title}\n\n${members.map(describe).join('\n')}`
  })
  return `# The schema

Everything there is, as [schema.graphql](../schema.graphql) has it. Made from the schema by \`npm run schema\`.

![The things there are, and which fields lead from one to another](pictures/types.svg)

${sections.join('\n')}`
}

function describe(type: GraphQLNamedType): string {
  const head = `### ${type.name}\n\n${cell(type.description ?? '')}\n`
  if (isUnionType(type))
    return `${head}\nOne of ${type
      .getTypes()
      .map(({ name }) => link(name))
      .join(', ')}.\n`
  if (isEnumType(type))
    return `${head}\n| value | |\n|---|---|\n${type
      .getValues()
      .map(({ name, description }) => `| \`${name}\` | ${cell(description ?? '')} |`)
      .join('\n')}\n`
  if (isInputObjectType(type)) return `${head}\n${table(Object.values(type.getFields()))}\n`
  if (isObjectType(type) || isInterfaceType(type)) {
    const interfaces = type.getInterfaces()
    const also = interfaces.map(({ name }) => link(name)).join(', ')
    const shared = new Set(interfaces.flatMap((each) => Object.keys(each.getFields())))
    const own = Object.values(type.getFields()).filter(({ name }) => !shared.has(name))
    const intro =
      also === ''
        ? ''
        : `\nHas what ${also} ${interfaces.length === 1 ? 'has' : 'have'}${own.length === 0 ? '' : ', and'}\n`
    return `${head}${intro}${own.length === 0 ? '' : `\n${table(own)}\n`}`
  }
  return head
}

function table(fields: readonly (GraphQLField<unknown, unknown> | GraphQLInputField)[]): string {
  const rows = fields.flatMap((field) => {
    const row = `| \`${field.name}\` | ${typeLink(String(field.type))} | ${cell(field.description ?? '')} |`
    const args = 'args' in field ? field.args : []
    return [
      row,
      ...args.map(
        (arg) =>
          `| \`${field.name}(${arg.name}:)\` | ${typeLink(String(arg.type))} | ${cell(arg.description ?? '')} |`,
      ),
    ]
  })
  return `| | type | |\n|---|---|---|\n${rows.join('\n')}`
}

function typeLink(type: string): string {
  const name = type.replace(/[[\]!]/g, '')
  const own = schema.getType(name)
  if (own === undefined || isSpecifiedScalarType(own)) return `\`${type}\``
  return type.replace(name, link(name)).replaceAll('[[', '\\[[')
}

function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replace(/\s+/g, ' ')
}

function implementsInterface(type: GraphQLNamedType, name: string): boolean {
  return isObjectType(type) && type.getInterfaces().some((each) => each.name === name)
}

if (import.meta.main) await writeFile(file, schemaReference())
