import { accessDenied, invalid, notFound, unauthorized } from '../../http-error.ts'
import type { Params } from '../../params.ts'
import type { Backend, Route, UserRequest } from '../../router.ts'
import { ensureApplication } from '../../store/applications.ts'
import { listFlows } from '../../store/flows.ts'
import {
  deleteSource,
  findSourceByTokenHash,
  findSources,
  insertSource,
  listSources,
  type SourceRow,
  updateSource,
} from '../../store/sources.ts'
import { hashToken, makeToken } from '../auth.ts'
import { encodeSource } from '../encode.ts'
import { sendMessage } from '../messages.ts'
import { checkWritable, idSegment, joinedFlow } from './access.ts'
import { activeSource } from './messages.ts'

/** [flowdock] sources.md */
export const sourceRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/sources',
    auth: 'any',
    takesFlowToken: true,
    async handle({ params, caller, base }, { store }) {
      const flowToken = params.string('flow_token')
      if (flowToken !== undefined) {
        const source = await findSourceByTokenHash(store.reader, hashToken(flowToken))
        if (source === undefined || source.deleted_at !== null) throw notFound()
        return { status: 200, body: [encodeSource(source, base)] }
      }
      if (caller === undefined) throw unauthorized()
      const flows = await listFlows(store.reader, caller.user.id, 'joined')
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
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/sources',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const name = request.params.string('name')?.trim()
      if (name === undefined || name === '') throw invalid({ name: ["can't be blank"] })
      const externalUrl = request.params.string('external_url')
      const token = makeToken()
      const source = await backend.log.write(async (change) => {
        const { db } = change
        await checkWritable(db, request.user.id, flow.id)
        const id = await insertSource(db, {
          flow_id: flow.id,
          // [flowdock] sources.md: that of the token; a personal token has none, and stands in for one here
          application_id: request.applicationId ?? (await ensureApplication(db, name)),
          creator_id: request.user.id,
          name,
          external_url: externalUrl ?? null,
          token_hash: hashToken(token),
        })
        const [created] = (await findSources(db, [id])) as [SourceRow]
        // [flowdock] sources.md: the team inbox is told of a new source
        await sendMessage(
          change,
          flow,
          { userId: 0, source: created },
          {
            event: 'activity',
            content: null,
            tags: [],
            title: 'added this source',
            author: { name: request.user.name },
            thread: { title: name, externalUrl: externalUrl ?? null },
          },
        )
        return created
      })
      return { status: 201, body: encodeSource(source, request.base, token) }
    },
  },
  {
    method: 'PUT',
    pattern: '/flows/:organization/:flow/sources/:source',
    auth: 'user',
    async handle(request, backend) {
      const source = await ownSource(request, backend)
      return updateAnswer(source, request.params, request.base, backend)
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
      return updateAnswer(await activeSource(backend.store.reader, flowToken), params, base, backend)
    },
  },
  {
    method: 'DELETE',
    pattern: '/flows/:organization/:flow/sources/:source',
    auth: 'user',
    async handle(request, backend) {
      const source = await ownSource(request, backend)
      const flow = await joinedFlow(request, backend)
      if (source.creator_id !== request.user.id && flow.organization_admin !== 1) throw accessDenied()
      await backend.log.write(({ db }) => deleteSource(db, source.id))
      return { status: 204 }
    },
  },
]

/** @throws 404 when the flow has no such source, or not any more */
async function ownSource(request: UserRequest, backend: Backend): Promise<SourceRow> {
  const flow = await joinedFlow(request, backend)
  const [source] = await findSources(backend.store.reader, [idSegment(request, 'source')])
  if (source === undefined || source.flow_id !== flow.id || source.deleted_at !== null) throw notFound()
  return source
}

/** [flowdock] sources.md: an empty error message clears it. */
async function updateAnswer(source: SourceRow, params: Params, base: string, { log }: Backend) {
  const error = params.string('error_message')
  const configuration = params.string('configuration_url')
  const updated = await log.write(async ({ db }) => {
    await updateSource(db, source.id, {
      ...(error === undefined ? {} : { error_message: error === '' ? null : error }),
      ...(configuration === undefined ? {} : { configuration_url: configuration }),
    })
    return (await findSources(db, [source.id])) as [SourceRow]
  })
  return { status: 200, body: encodeSource(updated[0], base) }
}
