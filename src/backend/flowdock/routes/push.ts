import { decodeChat, decodeMail } from '../message-draft.ts'
import type { Route } from '../route.ts'
import { segment } from './access.ts'
import { push, pushHolder } from './source-token.ts'

/**
 * The deprecated push API, which many integrations still use. The token in the path is that of a flow or of a source; several
 * are separated by commas. The router ignores the `/v1` in front.
 */
export const pushRoutes: readonly Route[] = [
  {
    method: 'POST',
    pattern: '/messages/chat/:token',
    auth: 'any',
    holder: pushHolder,
    handle: async (request, backend) => push(segment(request, 'token'), decodeChat(request.params), backend),
  },
  ...['/messages/team_inbox/:token', '/messages/influx/:token'].map(
    (pattern): Route => ({
      method: 'POST',
      pattern,
      auth: 'any',
      holder: pushHolder,
      handle: async (request, backend) =>
        push(segment(request, 'token'), decodeMail(request.params), backend),
    }),
  ),
]
