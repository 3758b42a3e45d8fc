import type { Route, Scope } from '../route.ts'
import { actionRoutes } from './actions.ts'
import { activityRoutes } from './activity.ts'
import { avatarRoutes } from './avatars.ts'
import { capabilityRoutes } from './capabilities.ts'
import { fileRoutes } from './files.ts'
import { flowRoutes } from './flows.ts'
import { healthRoutes } from './health.ts'
import { integrationRoutes } from './integrations.ts'
import { invitationRoutes } from './invitations.ts'
import { messageRoutes } from './messages.ts'
import { oauthRoutes } from './oauth.ts'
import { organizationRoutes } from './organizations.ts'
import { privateRoutes } from './private.ts'
import { pushRoutes } from './push.ts'
import { searchRoutes } from './search.ts'
import { sourceRoutes } from './sources.ts'
import { streamRoutes } from './stream.ts'
import { threadRoutes } from './threads.ts'
import { userRoutes } from './users.ts'
import { webPageRoutes } from './web-pages.ts'

/**
 * The scopes for reading routes and for changing routes of each file. An application's token needs one of them; with an empty
 * list any token is enough. A route can have scopes of its own.
 */
function scoped(routes: readonly Route[], read: readonly Scope[], change: readonly Scope[] = read): Route[] {
  return routes.map((route) => {
    const scopes = route.scopes ?? (route.method === 'GET' ? read : change)
    return scopes.length === 0 ? route : { ...route, scopes }
  })
}

/** The Flowdock API. */
export const flowdockRoutes: readonly Route[] = [
  ...scoped(userRoutes, [], ['profile']),
  ...scoped(avatarRoutes, [], ['profile']),
  ...scoped(organizationRoutes, [], ['manage']),
  ...scoped(flowRoutes, ['flow', 'manage', 'integration'], ['manage']),
  ...scoped(messageRoutes, ['flow']),
  ...scoped(activityRoutes, ['flow']),
  ...scoped(privateRoutes, ['private']),
  ...scoped(threadRoutes, ['flow']),
  ...scoped(actionRoutes, ['flow']),
  ...scoped(sourceRoutes, ['flow', 'manage', 'integration'], ['integration']),
  ...scoped(invitationRoutes, ['manage']),
  ...pushRoutes,
  ...integrationRoutes,
  ...scoped(searchRoutes, ['flow']),
  ...fileRoutes,
  ...scoped(streamRoutes, ['flow', 'private']),
  ...oauthRoutes,
  ...webPageRoutes,
  ...capabilityRoutes,
  ...healthRoutes,
]
