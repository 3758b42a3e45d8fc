import {
  defaultFieldResolver,
  type GraphQLSchema,
  isAbstractType,
  isObjectType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql'
import { builder } from './builder.ts'
import { makeFieldsWhenUsed } from './fields-when-used.ts'
import './scalars.ts'
import './errors.ts'
import './nodes.ts'
import './users.ts'
import './organizations.ts'
import './flows.ts'
import './memberships.ts'
import './invitations.ts'
import './sources.ts'
import './threads.ts'
import './conversations.ts'
import './messages.ts'
import './legacy-messages.ts'
import './presentations.ts'
import './uploads.ts'
import './stream-tickets.ts'
import './shared-media.ts'
import './search.ts'
import './activity.ts'
import './events.ts'
import './presence.ts'
import './capabilities.ts'
import './resource.ts'
import './rate-limit.ts'
import './things-filter.ts'
import './things-flows.ts'
import './things-drops.ts'
import './things-objects.ts'
import './things-mutations.ts'
import './things-events.ts'
import './things-statistics.ts'
import './rules.ts'

builder.queryType({ description: 'The queries: they read and change nothing.' })
builder.mutationType({
  description:
    'The mutations. Each returns a union of its payload and the errors that can prevent the change.',
})
builder.subscriptionType({ description: 'The subscriptions. Each delivers events until the client ends it.' })

// Otherwise the fields of the first connection make it.
builder.pageInfoRef()

/** The schema. */
export const schema: GraphQLSchema = resolvePageInfo(
  makeFieldsWhenUsed(builder, [
    'Query',
    'Organization',
    'Flow',
    'Reaction',
    'ThingsFlow',
    'Track',
    'ThingsIdentity',
  ]),
)

/** `hasNextPage` may need a call. Compiled operations only wait for values that resolvers return, so it gets resolvers. */
function resolvePageInfo(schema: GraphQLSchema): GraphQLSchema {
  const pageInfo = schema.getType('PageInfo')
  if (isObjectType(pageInfo))
    for (const field of Object.values(pageInfo.getFields())) field.resolve ??= defaultFieldResolver
  return schema
}

/** The schema in alphabetical order, for readers. The server starts faster without sorting. */
export function sortSchema(): GraphQLSchema {
  return lexicographicSortSchema(schema)
}

/** The content of `schema.graphql`. */
export function printSchemaFile(): string {
  return `${printSchema(sortSchema())}\n`
}

/**
 * The content of `possible-types.json`: the object types of each interface and union. The caches of Apollo Client and urql need
 * them to match fragments on interfaces.
 */
export function printPossibleTypes(): string {
  const sorted = sortSchema()
  const types = Object.values(sorted.getTypeMap())
    .filter(isAbstractType)
    .map((type) => [type.name, sorted.getPossibleTypes(type).map(({ name }) => name)] as const)
  return `${JSON.stringify(Object.fromEntries(types), null, 2)}\n`
}
