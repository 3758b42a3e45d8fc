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

builder.interfaceType('UserError', {
  description: 'Why a mutation did not happen. Nothing was changed, unless the type says otherwise.',
  fields: (t) => ({
    message: t.exposeString('message', { description: 'What was attempted and what is wrong, for people.' }),
    code: t.exposeString('code', { description: 'The same failure always has the same code.' }),
    path: t.stringList({
      nullable: true,
      description: 'The input that caused it, such as `["input", "flow"]`, if one did.',
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
