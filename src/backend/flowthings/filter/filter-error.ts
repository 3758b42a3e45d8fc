/** Says where a filter cannot be understood, and what would be right there. */
export class FilterError extends Error {
  override readonly name = 'FilterError'
  /** The character at which it stopped, from 0. */
  readonly position: number

  constructor(position: number, problem: string) {
    super(`Cannot read the filter at character ${position + 1}: ${problem}`)
    this.position = position
  }
}
