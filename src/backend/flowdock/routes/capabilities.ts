import type { Route } from '../route.ts'

/** What this server can do that the service could not, by names that do not change. */
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
    handle: async () => ({ status: 200, body: { extensions } }),
  },
]
