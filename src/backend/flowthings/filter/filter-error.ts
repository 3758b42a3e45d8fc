/** An invalid filter. The message has the position of the error, and what was expected there. */
export class FilterError extends Error {
  override readonly name = 'FilterError'
  /** The position of the error in characters, from 0. */
  readonly position: number

  constructor(position: number, problem: string) {
    super(`Cannot read the filter at character ${position + 1}: ${problem}`)
    this.position = position
  }
}
