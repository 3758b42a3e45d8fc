import type { WireError } from '../../wire/flowdock.ts'

/** An error response. [flowdock] general-information.md, "Errors" */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly status: number
  /** Sent as JSON, or as plain text when it is a string. */
  readonly body: WireError | string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, body: WireError | string, headers: Readonly<Record<string, string>> = {}) {
    super(typeof body === 'string' ? body : body.message)
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/** A header of each 401: some clients send a user name and password only after it, such as wget. [spec] RFC 9110, 15.5.2 */
export const challenge = { 'WWW-Authenticate': 'Basic realm="Flowdock"' }

export function unauthorized(): HttpError {
  return new HttpError(401, 'HTTP Basic: Access denied.\n', challenge)
}

export function accessDenied(): HttpError {
  return new HttpError(403, { message: 'Access denied' })
}

export function notFound(): HttpError {
  return new HttpError(404, { message: 'not found' })
}

/** [spec] RFC 9110, 15.5.6. @param allowed the methods of the path */
export function methodNotAllowed(allowed: string): HttpError {
  return new HttpError(
    405,
    { message: `This method is not served here: expected ${allowed}` },
    { Allow: allowed },
  )
}

/** @param errors what is wrong with each parameter, such as `{ content: ["can't be blank"] }` */
export function invalid(errors: Record<string, string[]>): HttpError {
  return new HttpError(400, { message: 'Validation error', errors })
}

/**
 * What several decoders return, by their names.
 *
 * @throws 400 with the problems that all of them found with parameters; any other error at once
 */
export function decodeAll<T extends object>(decoders: { readonly [Name in keyof T]: () => T[Name] }): T {
  const decoded: Partial<T> = {}
  let problems: Record<string, string[]> | undefined
  for (const name of Object.keys(decoders) as (keyof T)[]) {
    try {
      decoded[name] = decoders[name]()
    } catch (error) {
      const found =
        error instanceof HttpError && typeof error.body !== 'string' ? error.body.errors : undefined
      if (found === undefined) throw error
      problems ??= {}
      for (const [parameter, texts] of Object.entries(found))
        problems[parameter] = [...(problems[parameter] ?? []), ...texts]
    }
  }
  if (problems !== undefined) throw invalid(problems)
  // Each decoder returned.
  return decoded as T
}

/** @param waitMs when the client may try again */
export function tooMany(message: string, waitMs: number): HttpError {
  return new HttpError(429, { message }, { 'Retry-After': String(Math.max(Math.ceil(waitMs / 1000), 1)) })
}
