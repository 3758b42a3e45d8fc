/** Reads the extensions of a request that ask for more than the result. */
export function readExtensions(extensions: Readonly<Record<string, unknown>> | null | undefined): {
  readonly wantsCost: boolean
  readonly wantsExplanation: boolean
  /** Whether the first result of a subscription has the cursor after which it is live. */
  readonly wantsPosition: boolean
} {
  return {
    wantsCost: extensions?.['cost'] === true,
    wantsExplanation: extensions?.['explain'] === true,
    wantsPosition: extensions?.['position'] === true,
  }
}
