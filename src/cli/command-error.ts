/** Why a command cannot do what it was asked; its message is all the user needs. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}
