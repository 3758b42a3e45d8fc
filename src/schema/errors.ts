import {
  ConflictError,
  ForbiddenError,
  NotFoundError,
  NotSupportedError,
  RateLimitedError,
  UpstreamError,
  ValidationError,
} from '../errors.ts'
import { builder } from './builder.ts'

const UserErrorCode = builder.enumType('UserErrorCode', {
  description: 'The kind of a failure. Errors of a whole operation have more codes: `extensions.code`.',
  values: {
    BAD_USER_INPUT: { description: 'The input is not acceptable.' },
    CONFLICT: { description: 'The request contradicts what is stored.' },
    FORBIDDEN: { description: 'You may not make this change.' },
    NOT_FOUND: { description: 'The input names an object that does not exist or that you cannot see.' },
    NOT_SUPPORTED: { description: 'The upstream cannot make this change.' },
    RATE_LIMITED: { description: 'There were too many requests.' },
    UPSTREAM_INVALID: { description: 'The response of the upstream could not be read.' },
    UPSTREAM_TIMEOUT: { description: 'The upstream did not respond in time.' },
    UPSTREAM_UNAVAILABLE: { description: 'The upstream could not be reached, or failed.' },
  } as const,
})

builder.interfaceType('UserError', {
  description: 'Why a mutation did not happen. Nothing was changed, unless the type says otherwise.',
  fields: (t) => ({
    message: t.exposeString('message', { description: 'What was attempted and what is wrong, for people.' }),
    code: t.field({
      type: UserErrorCode,
      description: 'The same failure always has the same code.',
      // The classes of the union have no other codes.
      resolve: (error) => error.code as typeof UserErrorCode.$inferType,
    }),
    path: t.stringList({
      nullable: true,
      description:
        'The path of the input that caused the failure, such as `["input", "flow"]` for a flow that does not exist. Null when no input is to blame, or the upstream does not say which.',
      resolve: (error) => error.inputPath,
    }),
  }),
})

const FieldProblem = builder.objectRef<ValidationError['fields'][number]>('FieldProblem').implement({
  description: 'What one input field has wrong.',
  fields: (t) => ({
    field: t.exposeString('field', { description: 'The name of the field.' }),
    message: t.exposeString('message', { description: 'What is wrong with it.' }),
  }),
})

builder.objectType(ValidationError, {
  name: 'ValidationFailed',
  description: 'The input is well-formed but not acceptable.',
  interfaces: ['UserError'],
  fields: (t) => ({
    fields: t.field({
      type: [FieldProblem],
      listSize: 1,
      description: 'What is wrong, field by field, as far as it can be told.',
      resolve: (error) => error.fields,
    }),
  }),
})

builder.objectType(NotFoundError, {
  name: 'NotFound',
  description: 'What the input names is not there, or not for you to see.',
  interfaces: ['UserError'],
})

builder.objectType(ForbiddenError, {
  name: 'Forbidden',
  description: 'You may see it, but not do this to it.',
  interfaces: ['UserError'],
})

builder.objectType(NotSupportedError, {
  name: 'NotSupported',
  description: 'The upstream has no way to do this. `capabilities` says what it can.',
  interfaces: ['UserError'],
})

builder.objectType(ConflictError, {
  name: 'Conflict',
  description: 'The request contradicts what is stored.',
  interfaces: ['UserError'],
})

builder.objectType(RateLimitedError, {
  name: 'RateLimited',
  description: 'The upstream asks to slow down.',
  interfaces: ['UserError'],
  fields: (t) => ({
    retryAfterMs: t.int({
      nullable: true,
      description: 'When to try again, in milliseconds, if the upstream said so.',
      resolve: (error) => error.retryAfterMs,
    }),
  }),
})

builder.objectType(UpstreamError, {
  name: 'UpstreamUnavailable',
  description:
    'The upstream did not answer or failed. Whether the change happened is unknown; repeating it with the same `uuid` is safe.',
  interfaces: ['UserError'],
})
