import { GraphQLError, Kind, type ValueNode, valueFromASTUntyped } from 'graphql'
import type { ErrorCode } from '../errors.ts'
import { parseRfc3339 } from '../iso-time.ts'
import { inexactMessage, isExact } from '../json-values.ts'
import type { Attached } from '../resolvers/uploads.ts'
import { builder } from './builder.ts'

const expectedTime = 'Expected an RFC 3339 time with an offset, such as "2026-01-31T12:00:00.000Z"'

/** @throws GraphQLError for a text that is not a time with an offset */
function parseTime(value: unknown, node?: ValueNode): number {
  const ms = typeof value === 'string' ? parseRfc3339(value) : undefined
  if (ms !== undefined) return ms
  throw new GraphQLError(expectedTime, { nodes: node ?? null })
}

builder.scalarType('DateTime', {
  description:
    'A time as text in the format of RFC 3339. Results are in UTC with milliseconds, such as `2026-01-31T12:00:00.000Z`. Input may have any offset; a time without an offset is refused.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (ms) => new Date(ms).toISOString(),
  parseValue: (value) => parseTime(value),
  parseLiteral(literal) {
    if (literal.kind !== Kind.STRING) throw new GraphQLError(`${expectedTime}, in quotes`, { nodes: literal })
    return parseTime(literal.value, literal)
  },
})

builder.scalarType('Upload', {
  description:
    'A file that comes with the request, as the GraphQL multipart request specification says: null in the variables, and named by `map`. At most 5 files of 50 MB.',
  specifiedByURL: 'https://github.com/jaydenseric/graphql-multipart-request-spec',
  serialize() {
    throw new GraphQLError('A file is not part of an answer')
  },
  parseValue(value) {
    // JSON has no functions, so a value with one does not come from a client.
    const isFile = typeof (value as Partial<Attached> | null)?.read === 'function'
    if (!isFile) throw new GraphQLError('Expected a file of a multipart request')
    return value as Attached
  },
  parseLiteral() {
    throw new GraphQLError('Expected a file of a multipart request, by a variable')
  },
})

builder.scalarType('JSON', {
  description:
    'Any JSON value, as the upstream sent it. Input with a whole number that would lose digits as a double is refused.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc8259',
  serialize: (value) => value,
  parseValue: (value) => value ?? null,
  parseLiteral(literal, variables) {
    checkNumbers(literal)
    return valueFromASTUntyped(literal, variables) ?? null
  },
})

/** @throws GraphQLError for a number whose digits a double would lose, or that is too large for one */
function checkNumbers(node: ValueNode): void {
  if (node.kind === Kind.LIST) for (const value of node.values) checkNumbers(value)
  else if (node.kind === Kind.OBJECT) for (const { value } of node.fields) checkNumbers(value)
  else if ((node.kind === Kind.INT || node.kind === Kind.FLOAT) && !isExact(node.value))
    throw new GraphQLError(inexactMessage(node.value), {
      nodes: node,
      extensions: { code: 'BAD_USER_INPUT' satisfies ErrorCode },
    })
}
