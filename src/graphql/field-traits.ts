import type { GraphQLField } from 'graphql'

/** Calls to the upstream that a field makes in one operation, at most. */
export interface CallCost {
  /** Calls for each object that the field is selected on. */
  readonly each?: number
  /** Calls for each item of the list. */
  readonly eachItem?: number
  /** Replaces `each` where this argument is given. */
  readonly withArgument?: { readonly name: string; readonly each: number }
  /** One more call when a page of 100 is requested with `pageInfo`: whether another page follows. */
  readonly isPage?: boolean
  /** One call for the whole operation by each of these names, shared by all fields that give the same name. */
  readonly once?: readonly string[]
  /** One call for each selection of the field, however many objects it is selected on: one bulk read has them all. */
  readonly isBulk?: boolean
  /** Batched under this name: 1 call for one key, n + 1 calls for n keys (one list call first). */
  readonly batch?: string
}

/**
 * Whether executions of a live query for several viewers can be one. `same`: the value depends on the event and on what
 * every viewer who receives it can see. `viewer`: it also depends on answers of `context.viewer`, and on
 * nothing else about the viewer: one result goes to all with the same answers. `self`: anything else, executed for each viewer.
 */
export type Sharing = 'same' | 'viewer' | 'self'

/** What limits, cost, caches and live queries need to know about a field. The schema declares it with the field. */
export interface FieldTraits {
  /** Not given: the field makes no calls to the upstream. */
  readonly calls?: CallCost
  /** `self` unless given. */
  readonly sharing?: Sharing
  /** The value changes with time, without any event. */
  readonly isVolatile?: boolean
  /** Items of a list when neither `first` nor `last` is given, or the argument whose length they are; 1 unless given. */
  readonly listSize?: number | { readonly argument: string }
}

type AnyField = Pick<GraphQLField<unknown, unknown>, 'extensions'>

const noTraits: FieldTraits = {}

export function traitsOf(field: AnyField | undefined): FieldTraits {
  return (field?.extensions['traits'] as FieldTraits | undefined) ?? noTraits
}

export function sharingOf(field: AnyField): Sharing {
  return traitsOf(field).sharing ?? 'self'
}
