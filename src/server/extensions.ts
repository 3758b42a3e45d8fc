/** What a client wants to know besides the answer. */
export function readExtensions(extensions: Readonly<Record<string, unknown>> | null | undefined): {
  readonly wantsCost: boolean
  readonly wantsExplanation: boolean
  /** Whether a subscription says at its start after which cursor it is live. */
  readonly wantsPosition: boolean
} {
  return {
    wantsCost: extensions?.['cost'] === true,
    wantsExplanation: extensions?.['explain'] === true,
    wantsPosition: extensions?.['position'] === true,
  }
}
