import { boundedText } from '../../bounds.ts'
import { accessDenied, invalid, notFound, unauthorized } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import type { Database } from '../../store/db.ts'
import { findFlowAccess, isJoined, listFlows } from '../../store/flows.ts'
import { findSourceByTokenHash, findSources, listSources, type SourceRow } from '../../store/sources.ts'
import { hashToken } from '../../token-hash.ts'
import { makeToken } from '../auth.ts'
import { encodeSource, encodeSourceAlone } from '../encode.ts'
import { addSource, deleteSource, editSource } from '../operations/sources.ts'
import type { Backend, Route, UserRequest } from '../route.ts'
import { webUrl } from '../web-url.ts'
import { checkVisible, checkWritable, idSegment, joinedFlow } from './access.ts'
import { activeSource } from './source-token.ts'

/** [flowdock] sources.md */
export const sourceRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/sources',
    auth: 'any',
    takesFlowToken: true,
    async handle({ params, userRequest, base }, { store }) {
      const flowToken = params.string('flow_token')
      if (flowToken !== undefined) {
        const source = await findSourceByTokenHash(store.reader, hashToken(flowToken))
        if (source === undefined || source.deleted_at !== null) throw notFound()
        return { status: 200, body: [encodeSourceAlone(source, base)] }
      }
      if (userRequest === undefined) throw unauthorized()
      const flows = await listFlows(store.reader, userRequest.user.id, 'joined')
      const sources = await listSources(
        store.reader,
        flows.map(({ id }) => id),
      )
      return { status: 200, body: sources.map((source) => encodeSource(source, base)) }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/sources',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const sources = await listSources(backend.store.reader, [flow.id])
      return { status: 200, body: sources.map((source) => encodeSource(source, request.base)) }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/sources/:source',
    auth: 'user',
    async handle(request, backend) {
      const source = await ownSource(request, backend)
      return { status: 200, body: encodeSource(source, request.base) }
    },
  },
  // [flowdock] Sources were called integrations until 2014.
  ...['sources', 'integrations'].map(
    (name): Route => ({
      method: 'POST',
      pattern: `/flows/:organization/:flow/${name}`,
      auth: 'user',
      async handle(request, backend) {
        const flow = await joinedFlow(request, backend)
        const name = boundedText(request.params, 'name', 'name')?.trim()
        if (name === undefined || name === '') throw invalid({ name: ["can't be blank"] })
        const externalUrl = webUrl(request.params, 'external_url')
        const token = makeToken()
        const { user, applicationId } = request
        const source = await backend.log.write(async (change) => {
          await checkWritable(change.db, user.id, flow.id)
          return addSource(change, flow, user, {
            name,
            externalUrl,
            applicationId,
            tokenHash: hashToken(token),
          })
        })
        return { status: 201, body: encodeSource(source, request.base, token) }
      },
    }),
  ),
  {
    method: 'PUT',
    pattern: '/flows/:organization/:flow/sources/:source',
    auth: 'user',
    async handle(request, backend) {
      const { id } = await ownSource(request, backend)
      const changes = decodeChanges(request.params)
      const updated = await backend.log.write(async (change) => {
        await checkOwns(change.db, request.user.id, id)
        return editSource(change, id, changes)
      })
      return { status: 200, body: encodeSource(updated, request.base) }
    },
  },
  {
    method: 'PUT',
    pattern: '/sources',
    auth: 'any',
    takesFlowToken: true,
    async handle({ params, base }, backend) {
      const flowToken = params.string('flow_token')
      if (flowToken === undefined) throw invalid({ flow_token: ["can't be blank"] })
      await activeSource(backend.store.reader, flowToken)
      const changes = decodeChanges(params)
      const updated = await backend.log.write(async (change) =>
        editSource(change, (await activeSource(change.db, flowToken)).id, changes),
      )
      return { status: 200, body: encodeSourceAlone(updated, base) }
    },
  },
  {
    method: 'DELETE',
    pattern: '/flows/:organization/:flow/sources/:source',
    auth: 'user',
    async handle(request, backend) {
      const { id } = await ownSource(request, backend)
      await backend.log.write(async (change) => {
        await checkOwns(change.db, request.user.id, id)
        await deleteSource(change, id)
      })
      return { status: 204 }
    },
  },
]

/** @throws 404 when the flow has no such source */
async function ownSource(request: UserRequest, backend: Backend): Promise<SourceRow> {
  const flow = await joinedFlow(request, backend)
  const [source] = await findSources(backend.store.reader, [idSegment(request, 'source')])
  if (source === undefined || source.flow_id !== flow.id || source.deleted_at !== null) throw notFound()
  return source
}

/**
 * Checks the right to change a source, in the transaction that changes it. Its creator and administrators have the right while
 * they are members of its flow.
 *
 * @throws 404 or 403
 */
async function checkOwns(db: Database, userId: number, sourceId: number): Promise<void> {
  const [source] = await findSources(db, [sourceId])
  if (source === undefined || source.deleted_at !== null) throw notFound()
  const flow = checkVisible(await findFlowAccess(db, userId, source.flow_id))
  if (!isJoined(flow)) throw accessDenied()
  if (source.creator_id !== userId && flow.organization_admin !== 1) throw accessDenied()
}

type SourceChanges = Parameters<typeof editSource>[2]

/** [flowdock] sources.md: an empty error message clears it; so does an empty URL. */
function decodeChanges(params: Params): SourceChanges {
  const error = boundedText(params, 'error_message', 'error_message')
  const configuration = webUrl(params, 'configuration_url')
  return {
    ...(error === undefined ? {} : { error_message: error === '' ? null : error }),
    ...(configuration === undefined ? {} : { configuration_url: configuration }),
  }
}
