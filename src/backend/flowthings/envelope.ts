/** What a request resulted in. */
export interface Outcome {
  readonly status: 200 | 201
  /** Never undefined: clients read it after every success. `{}` after a deletion. */
  readonly body: unknown
  /** Short resources by id, where the request asked for them. */
  readonly references?: Readonly<Record<string, unknown>>
}

const created = 'Your request has been processed successfully. A new resource has been created.'
const processed = 'Your request has been processed successfully.'

/** The head of a success. [flowthings] success codes; `correlation` is what a frame of a socket has more. */
export function successHead({ status, references = {} }: Outcome, correlation: object = {}): object {
  const messages = status === 201 ? [created] : 'msgId' in correlation ? [processed] : []
  return { ...correlation, status, ok: true, messages, errors: [], references }
}

/** The head of a failure. Clients read the first error without looking whether there is one. */
export function failureHead(status: number, message: string, correlation: object = {}): object {
  const errors = [message === '' ? 'The request failed' : message]
  return { ...correlation, status, ok: false, messages: [], errors, references: {} }
}
