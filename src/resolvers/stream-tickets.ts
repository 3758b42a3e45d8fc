import type { Context } from '../context.ts'

/** A URL that opens one event stream. */
export interface StreamUrl {
  readonly url: string
  readonly ticket: string
  readonly expiresAt: number
}

/** Reads the viewer first: a credential that is not valid must not take room from others. */
export async function createStreamTicket(_: unknown, __: unknown, context: Context): Promise<StreamUrl> {
  await context.flowdock.load.viewer()
  const { id, expiresAt } = context.streamTicket()
  return { url: `/graphql?ticket=${id}`, ticket: id, expiresAt }
}
