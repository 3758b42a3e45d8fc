/** Subscriptions of Apollo Client that resume. The class is passed in, so that this file needs no package. */
import type { LiveClient } from './index.ts'

/**
 * The link for subscriptions.
 *
 * @param GraphQLWsLink the class from `@apollo/client/link/subscriptions`; it only calls `subscribe` of the client
 */
export function createLiveLink<Link>(client: LiveClient, GraphQLWsLink: new (client: never) => Link): Link {
  return new GraphQLWsLink(client as never)
}
