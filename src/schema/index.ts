import { type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql'
import { answerClientMutationIds, builder } from './builder.ts'
import { markSharedFields } from './impersonal-fields.ts'
import './scalars.ts'
import './errors.ts'
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
import './shares.ts'
import './search.ts'
import './activity.ts'
import './events.ts'
import './presence.ts'
import './capabilities.ts'
import './resource.ts'
import './rate-limit.ts'

builder.queryType({ description: 'Where reading begins.' })
builder.mutationType({ description: 'What can be changed.' })
builder.subscriptionType({ description: 'What can be listened to.' })

/** Everything that may be asked. */
export const schema: GraphQLSchema = markSharedFields(answerClientMutationIds(builder.toSchema()))

/** The schema as `schema.graphql` holds it. */
export function printSchemaFile(): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`
}
