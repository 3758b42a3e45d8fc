import type { Route } from '../../router.ts'
import { fileRoutes } from './files.ts'
import { flowRoutes } from './flows.ts'
import { invitationRoutes } from './invitations.ts'
import { messageRoutes } from './messages.ts'
import { organizationRoutes } from './organizations.ts'
import { privateRoutes } from './private.ts'
import { pushRoutes } from './push.ts'
import { searchRoutes } from './search.ts'
import { sourceRoutes } from './sources.ts'
import { streamRoutes } from './stream.ts'
import { threadRoutes } from './threads.ts'
import { userRoutes } from './users.ts'

/** The Flowdock API. */
export const flowdockRoutes: readonly Route[] = [
  ...userRoutes,
  ...organizationRoutes,
  ...flowRoutes,
  ...messageRoutes,
  ...privateRoutes,
  ...threadRoutes,
  ...sourceRoutes,
  ...invitationRoutes,
  ...pushRoutes,
  ...searchRoutes,
  ...fileRoutes,
  ...streamRoutes,
]
