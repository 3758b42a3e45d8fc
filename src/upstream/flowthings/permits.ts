import { NotFoundError, NotSupportedError } from '../../errors.ts'
import type { ThingsCalls } from './calls.ts'
import { record } from './decode.ts'

/**
 * A text that lets one rule of the chat act with the account and token of this principal, within a minute. Only the server that
 * made it accepts it, so it can be sent to the server of the chat, whichever that is.
 *
 * @throws NotSupportedError for a server without rules
 */
export async function createPermit({ call }: ThingsCalls): Promise<string> {
  const doing = 'let a rule act with the flowthings account'
  try {
    const { id } = record(await call('POST', ['permit'], { doing }), 'a permit')
    return String(id)
  } catch (error) {
    if (error instanceof NotFoundError)
      throw new NotSupportedError(`Cannot ${doing}: the flowthings upstream has no rules`)
    throw error
  }
}
