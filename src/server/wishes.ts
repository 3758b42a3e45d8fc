/** What a client wants to know besides the answer. */
export function wishesOf(extensions: Readonly<Record<string, unknown>> | null | undefined): {
  readonly wantsCost: boolean
  readonly wantsExplanation: boolean
} {
  return { wantsCost: extensions?.['cost'] === true, wantsExplanation: extensions?.['explain'] === true }
}
