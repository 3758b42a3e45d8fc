/** The result of a request. */
export interface Outcome {
  readonly status: 200 | 201
  /** Never undefined, because clients always read it. `{}` after a deletion. */
  readonly body: unknown
  /** Summaries of the named resources by id, if the request asked for them. */
  readonly references?: Readonly<Record<string, unknown>>
}

const created = 'Your request has been processed successfully. A new resource has been created.'
const processed = 'Your request has been processed successfully.'

/** The head of a success. [flowthings] success codes. @param correlation further members, for a frame of a socket */
export function successHead({ status, references = {} }: Outcome, correlation: object = {}): object {
  const messages = status === 201 ? [created] : 'msgId' in correlation ? [processed] : []
  return { ...correlation, status, ok: true, messages, errors: [], references }
}

/** The head of a failure. It always has an error, because clients read the first one without a check. */
export function failureHead(status: number, message: string, correlation: object = {}): object {
  const errors = [message === '' ? 'The request failed' : message]
  return { ...correlation, status, ok: false, messages: [], errors, references: {} }
}
