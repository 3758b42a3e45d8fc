/** How many calls to the upstream a field takes at most, in one operation. */
export interface CallEstimate {
  /** For each object the field is asked of. */
  readonly each?: number
  /** For each item it lists. */
  readonly eachItem?: number
  /** In place of `each`, where this argument is given. */
  readonly withArgument?: { readonly name: string; readonly each: number }
  /** One more where a whole page is asked for and whether there is another. */
  readonly isPage?: boolean
  /** One for the whole operation, shared by all fields that say the same. */
  readonly once?: readonly string[]
  /** One for one; for several one more than there are, because a list is looked at first. Shared in the same way. */
  readonly batch?: string
}

/** Estimates by field, such as `Flow.messages`; `Mutation.*` is for all of a type. Fields without one take no calls. */
export type CallEstimates = Readonly<Record<string, CallEstimate>>
