import type { Route } from '../../router.ts'
import { messagePage } from '../consent-page.ts'
import { segment } from './access.ts'

/*
 * Pages for people who open a `web_url` or a `join_url` in a browser. They tell nothing that is not in the URL, so they need
 * no credential.
 */
export const pageRoutes: readonly Route[] = [
  // Before the pattern of a flow, which it fits, too.
  {
    method: 'GET',
    pattern: '/app/private/:user',
    auth: 'any',
    handle: async () =>
      messagePage(
        200,
        'Private conversation',
        'This is the address of a private conversation. There is no web app here: read the conversation with a program, such as a GraphQL client of the gateway.',
      ),
  },
  ...['/app/:organization/:flow', '/app/:organization/:flow/:kind/:id'].map(
    (pattern): Route => ({
      method: 'GET',
      pattern,
      auth: 'any',
      handle: async (request) =>
        messagePage(
          200,
          segment(request, 'flow'),
          `This is the address of the flow "${segment(request, 'organization')}/${segment(request, 'flow')}". There is no web app here: read the flow with a program, such as a GraphQL client of the gateway.`,
        ),
    }),
  ),
  {
    method: 'GET',
    pattern: '/invitations/:code',
    auth: 'any',
    handle: async () =>
      messagePage(
        200,
        'You are invited to a flow',
        'This address lets users of the organization come into a flow. There is no web app here: send a POST request to this address with your token.',
      ),
  },
]
