/** A failure that is sent to the client, with its status in the HTTP response and in the head of the envelope. */
export class ThingsError extends Error {
  override readonly name = 'ThingsError'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

export function badRequest(message: string): ThingsError {
  return new ThingsError(400, message)
}

export function forbidden(message: string): ThingsError {
  return new ThingsError(403, message)
}

/** Also for resources that the principal may not read, so that their existence is not revealed. */
export function notFound(what: string): ThingsError {
  return new ThingsError(404, `There is no ${what}`)
}
