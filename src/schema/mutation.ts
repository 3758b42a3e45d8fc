import type { FieldMap, InputFieldMap, InputObjectRef, ObjectRef } from '@pothos/core'
import type { Context } from '../context.ts'
import {
  ConflictError,
  ForbiddenError,
  NotFoundError,
  NotSupportedError,
  RateLimitedError,
  UpstreamError,
  ValidationError,
} from '../errors.ts'
import type { CallCost } from '../graphql/field-traits.ts'
import { builder, type InputFields, type OurTypes } from './builder.ts'

/** The errors that a mutation returns as data. */
const failures = [
  ValidationError,
  NotFoundError,
  ForbiddenError,
  ConflictError,
  NotSupportedError,
  RateLimitedError,
  UpstreamError,
]

/** The input type of a mutation. */
export function mutationInput<Fields extends InputFieldMap>(
  name: string,
  {
    description,
    fields,
  }: {
    description: string
    fields: (t: InputFields) => Fields
  },
) {
  return builder.inputType(name, {
    description,
    fields: (t) => ({
      ...fields(t),
      clientMutationId: t.string({
        description: 'Any text of your choice. The payload returns it unchanged.',
      }),
    }),
  })
}

interface Mutation<Input, Payload extends object> {
  readonly description: string
  readonly input: InputObjectRef<OurTypes, Input>
  readonly payload: ObjectRef<OurTypes, Payload>
  /** The calls to the upstream; those of a usual mutation unless given. */
  readonly calls?: CallCost
  readonly resolve: (
    root: object,
    args: { input: NoInfer<Input> },
    context: Context,
  ) => Promise<NoInfer<Payload>> | NoInfer<Payload>
}

/** Declares a mutation whose result is the union of its payload and the errors. */
export function mutation<Input, Payload extends object>(
  name: string,
  { description, input, payload, calls, resolve }: Mutation<Input, Payload>,
): void {
  const result = builder.errorUnion(`${name[0]?.toUpperCase()}${name.slice(1)}Result`, {
    description: `The payload of \`${name}\` when it succeeded, or the error when it failed.`,
    types: [...failures, payload],
    resolveType: () => payload,
  })
  builder.mutationField(name, (t) =>
    t.field({
      type: result,
      description,
      args: {
        input: t.arg({ type: input, required: true, description: `The input of \`${name}\`.` }),
      },
      ...(calls === undefined ? {} : { calls }),
      // The types of Pothos cannot compare what a type parameter resolves to.
      resolve: resolve as never,
    }),
  )
}

/** The payload type of a mutation. */
export function mutationPayload<Shape extends object>(
  name: string,
  {
    description,
    fields,
  }: {
    description: string
    fields: (t: PothosSchemaTypes.ObjectFieldBuilder<OurTypes, Shape>) => FieldMap
  },
) {
  return builder.objectRef<Shape>(name).implement({
    description,
    fields: (t) => ({
      ...fields(t),
      clientMutationId: t.string({
        nullable: true,
        description: 'The `clientMutationId` of the input. Null when none was given.',
        resolve: (payload) => (payload as { clientMutationId?: string | null }).clientMutationId,
      }),
    }),
  })
}
