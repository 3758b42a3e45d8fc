import { createHash } from 'node:crypto'
import { SignJWT } from 'jose'
import { DeliveryError, deliver } from '../../deliver.ts'
import { accessDenied, HttpError, notFound } from '../../http/errors.ts'
import { findApplication } from '../../store/applications.ts'
import { findViewedFlow, isJoined } from '../../store/flows.ts'
import { findSources } from '../../store/sources.ts'
import { findThread, type ThreadRow } from '../../store/threads.ts'
import type { Answer, Backend, Route, UserRequest } from '../route.ts'
import { actionDigest, isUpdateAction, type UpdateAction } from '../thread-actions.ts'
import { checkVisible, segment } from './access.ts'

const tokenLifetimeSeconds = 30

/** [flowdock] thread-actions.md: a click on an UpdateAction goes to the integration, signed. */
export const actionRoutes: readonly Route[] = [
  {
    method: 'POST',
    pattern: '/threads/:thread/actions/:digest',
    auth: 'user',
    async handle(request, backend) {
      const thread = await findThread(backend.store.reader, segment(request, 'thread'))
      const flow =
        thread &&
        (await findViewedFlow(backend.store.reader, request.user.id, { channelId: thread.channel_id }))
      if (!isJoined(checkVisible(flow)) || flow?.disabled === 1) throw accessDenied()
      const action = thread && findAction(thread, segment(request, 'digest'))
      if (thread === undefined || action === undefined) throw notFound()
      return run(request, backend, thread, action)
    },
  },
]

function findAction(thread: ThreadRow, digest: string): UpdateAction | undefined {
  const actions = JSON.parse(thread.actions_json) as unknown[]
  return actions.filter(isUpdateAction).find((action) => actionDigest(thread.id, action) === digest)
}

async function run(
  { user }: UserRequest,
  { store, privateActionTargets }: Backend,
  thread: ThreadRow,
  action: UpdateAction,
): Promise<Answer> {
  const [source] = thread.source_id === null ? [] : await findSources(store.reader, [thread.source_id])
  if (source === undefined || source.deleted_at !== null)
    throw new HttpError(410, { message: 'The source was removed' })
  const application = await findApplication(store.reader, { id: source.application_id })
  if (application?.client_secret == null)
    throw new HttpError(409, {
      message: `The source "${source.name}" belongs to no registered application, so nothing can be signed for it`,
    })
  const method = action.target.httpMethod ?? 'POST'
  // The URL as the integration registered it, so that the token is only valid there.
  const url = action.target.urlTemplate
  const agent = { '@type': 'Person', name: user.name, image: user.avatar }
  const body = JSON.stringify({ ...action, agent })
  const token = await new SignJWT({ signature: createHash('sha256').update(body).digest('hex'), method })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(String(user.id))
    .setAudience(url)
    .setExpirationTime(`${tokenLifetimeSeconds}s`)
    .sign(Buffer.from(application.client_secret))
  const answer = await deliver(
    {
      method,
      url: new URL(url),
      headers: { 'Content-Type': 'application/json', 'FLOWDOCK-TOKEN': token },
      body,
    },
    privateActionTargets,
  ).catch((error: unknown) => {
    throw error instanceof DeliveryError
      ? new HttpError(502, { message: `The action could not be delivered: ${error.message}` })
      : error
  })
  if (answer.status >= 200 && answer.status < 300) return { status: 200, body: {} }
  const login = answer.headers['www-authenticate']
  if (answer.status === 401 && login !== undefined)
    return {
      status: 401,
      body: { message: 'The integration asks to sign in with it first' },
      headers: { 'WWW-Authenticate': login },
    }
  throw new HttpError(502, { message: `The integration answered ${answer.status}` })
}
