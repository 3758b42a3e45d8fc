/** An invalid request. The connection closes after the response. */
export class Http1Error extends Error {
  override readonly name = 'Http1Error'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
