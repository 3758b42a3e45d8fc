import { GraphQLError, Kind } from 'graphql'
import type { Attached } from '../resolvers/uploads.ts'
import { builder } from './builder.ts'

builder.scalarType('DateTime', {
  description: 'A moment in UTC as ISO 8601 text with milliseconds, such as `2026-01-31T12:00:00.000Z`.',
  serialize: (ms) => new Date(ms).toISOString(),
  parseValue(value) {
    const ms = typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : Number.NaN
    if (Number.isNaN(ms))
      throw new GraphQLError('Expected an ISO 8601 time such as "2026-01-31T12:00:00.000Z"')
    return ms
  },
  parseLiteral(literal) {
    if (literal.kind !== Kind.STRING)
      throw new GraphQLError('Expected an ISO 8601 time in quotes', { nodes: literal })
    const ms = Date.parse(literal.value)
    if (Number.isNaN(ms)) throw new GraphQLError('Expected an ISO 8601 time', { nodes: literal })
    return ms
  },
})

builder.scalarType('Upload', {
  description:
    'A file that comes with the request, as the GraphQL multipart request specification says: null in the variables, and named by `map`. At most 5 files of 50 MB.',
  serialize() {
    throw new GraphQLError('A file is not part of an answer')
  },
  parseValue(value) {
    // JSON has no functions: what has one was put here by the server.
    const isFile = typeof (value as Partial<Attached> | null)?.read === 'function'
    if (!isFile) throw new GraphQLError('Expected a file of a multipart request')
    return value as Attached
  },
  parseLiteral() {
    throw new GraphQLError('Expected a file of a multipart request, by a variable')
  },
})

builder.scalarType('JSON', {
  description: 'Any JSON value, as the upstream sent it.',
  serialize: (value) => value,
})
