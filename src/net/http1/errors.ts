/** Why a request cannot be read. The connection closes after its response. */
export class Http1Error extends Error {
  override readonly name = 'Http1Error'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
