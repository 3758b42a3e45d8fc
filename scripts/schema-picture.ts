/** Draws `docs/pictures/types.svg`: the things there are, and which fields lead from one to another. `npm run schema` runs it. */
import { writeFile } from 'node:fs/promises'
import { instance } from '@viz-js/viz'
import { getNamedType, isInterfaceType, isObjectType } from 'graphql'
import { sortSchema } from '../src/schema/index.ts'

const schema = sortSchema()

const file = new URL('../docs/pictures/types.svg', import.meta.url)

/** What people think of; payloads, pages of lists and kinds of message are left out. */
const things = [
  ...['Organization', 'OrganizationUser', 'Flow', 'FlowUser', 'Thread', 'Message', 'User', 'Author'],
  ...['PrivateConversation', 'Source', 'Invitation', 'File', 'Reaction', 'FlowActivity', 'FlowEvent'],
]

export async function schemaPicture(): Promise<string> {
  const viz = await instance()
  const graph = [
    'digraph "Types" {',
    'graph [rankdir=LR, bgcolor="transparent", nodesep=0.25, ranksep=0.9, fontname="Helvetica"]',
    'node [shape=box, style="rounded,filled", fillcolor="#eef3fb", color="#4a6fa5", fontname="Helvetica", fontsize=12]',
    'edge [color="#6b7a90", fontname="Helvetica", fontsize=9, fontcolor="#445", arrowsize=0.6]',
    ...things.map(
      (name) => `"${name}"${isInterfaceType(schema.getType(name)) ? ' [style="rounded,filled,dashed"]' : ''}`,
    ),
    ...edges(),
    '}',
  ].join('\n')
  return `${viz.renderString(graph, { format: 'svg', engine: 'dot' })}`
}

/** One arrow for all fields that lead the same way; lists say so. */
function edges(): string[] {
  const labels = new Map<string, string[]>()
  for (const from of things) {
    const type = schema.getType(from)
    if (!isObjectType(type) && !isInterfaceType(type)) continue
    for (const field of Object.values(type.getFields())) {
      const { to, isList } = target(String(field.type))
      if (to === undefined) continue
      const key = `"${from}" -> "${to}"`
      labels.set(key, [...(labels.get(key) ?? []), isList ? `${field.name}[]` : field.name])
    }
  }
  const kinds = ['User', 'ExternalAuthor'].map((name) => `"${name}" -> "Author" [style=dashed, label="is"]`)
  return [
    ...[...labels].map(([edge, names]) => `${edge} [label="${names.join('\\n')}"]`),
    ...kinds.filter((edge) => things.some((name) => edge.startsWith(`"${name}"`))),
  ]
}

/** Where a field leads, through pages of lists. */
function target(type: string): { to: string | undefined; isList: boolean } {
  const name = type.replace(/[[\]!]/g, '')
  const nodes = name.endsWith('Connection') ? schema.getType(name) : undefined
  const of = isObjectType(nodes) ? nodes.getFields()['nodes'] : undefined
  const to = of === undefined ? name : getNamedType(of.type).name
  return { to: things.includes(to) ? to : undefined, isList: of !== undefined || type.startsWith('[') }
}

if (import.meta.main) await writeFile(file, await schemaPicture())
