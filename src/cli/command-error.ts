/** Why a command failed. The user sees only the message. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}
