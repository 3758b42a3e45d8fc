import type { Route } from '../route.ts'

/** The extensions of this server to Flowdock's API. Their names never change. */
const extensions = [
  'activity',
  'avatar',
  'create-thread',
  'follow-flows',
  'mark-read',
  'move-message',
  'presence',
  'remove-reaction',
  'rotate-push-token',
  'search',
  'typing',
]

export const capabilityRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/capabilities',
    auth: 'user',
    handle: async (_, { hasServiceInterface, hasRules }) => ({
      status: 200,
      body: {
        extensions: [
          ...extensions,
          ...(hasRules ? ['rules'] : []),
          ...(hasServiceInterface ? ['service-stream'] : []),
        ].toSorted(),
      },
    }),
  },
]
