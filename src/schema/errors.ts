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
  description: 'The kind of a failed mutation. Errors in `errors` have further codes in `extensions.code`.',
  values: {
    BAD_USER_INPUT: { description: 'A value of the input is invalid.' },
    CONFLICT: {
      description: 'The change contradicts the stored state, such as a name that is already in use.',
    },
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
  description:
    'The reason why a mutation failed. Nothing was changed, except perhaps with `UpstreamUnavailable`.',
  fields: (t) => ({
    message: t.exposeString('message', {
      description: 'A message for the user: what was attempted and what is wrong.',
    }),
    code: t.field({
      type: UserErrorCode,
      description: 'The kind of failure, for programs.',
      // The classes of the union have no other codes.
      resolve: (error) => error.code as typeof UserErrorCode.$inferType,
    }),
    path: t.stringList({
      nullable: true,
      description:
        'The path of the input that caused the failure, such as `["input", "flow"]` for a flow that does not exist. Null when the failure has another cause, or the upstream does not say which input it is.',
      resolve: (error) => error.inputPath,
    }),
  }),
})

const FieldProblem = builder.objectRef<ValidationError['fields'][number]>('FieldProblem').implement({
  description: 'An invalid field of the input.',
  fields: (t) => ({
    field: t.exposeString('field', { description: 'The name of the field, as the upstream reports it.' }),
    message: t.exposeString('message', { description: 'What is wrong with the value.' }),
  }),
})

builder.objectType(ValidationError, {
  name: 'ValidationFailed',
  description: 'The input matches the schema, but a value is invalid.',
  interfaces: ['UserError'],
  fields: (t) => ({
    fields: t.field({
      type: [FieldProblem],
      listSize: 1,
      description: 'The invalid fields. Empty when the upstream does not name them.',
      resolve: (error) => error.fields,
    }),
  }),
})

builder.objectType(NotFoundError, {
  name: 'NotFound',
  description: 'The input names an object that does not exist or that you cannot see.',
  interfaces: ['UserError'],
})

builder.objectType(ForbiddenError, {
  name: 'Forbidden',
  description: 'You can see the object, but you may not make this change.',
  interfaces: ['UserError'],
})

builder.objectType(NotSupportedError, {
  name: 'NotSupported',
  description: 'The upstream cannot make this change. `capabilities` lists what it can do.',
  interfaces: ['UserError'],
})

builder.objectType(ConflictError, {
  name: 'Conflict',
  description: 'The change contradicts the stored state, such as a name that is already in use.',
  interfaces: ['UserError'],
})

builder.objectType(RateLimitedError, {
  name: 'RateLimited',
  description: 'There were too many requests. Repeat the mutation later.',
  interfaces: ['UserError'],
  fields: (t) => ({
    retryAfterMs: t.int({
      nullable: true,
      description: 'The number of milliseconds to wait before the next attempt. Null when it is unknown.',
      resolve: (error) => error.retryAfterMs,
    }),
  }),
})

builder.objectType(UpstreamError, {
  name: 'UpstreamUnavailable',
  description:
    'The upstream failed or did not respond. The change may have been made. A mutation that was sent with a `uuid` can be repeated with the same one without making a second message.',
  interfaces: ['UserError'],
})
