import { notFound, unauthorized } from '../../http-error.ts'
import type { Route } from '../../router.ts'
import { listFlows } from '../../store/flows.ts'
import { findSourceByTokenHash, findSources, listSources } from '../../store/sources.ts'
import { hashToken } from '../auth.ts'
import { encodeSource } from '../encode.ts'
import { idSegment, joinedFlow } from './access.ts'

/** [flowdock] sources.md */
export const sourceRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/sources',
    auth: 'any',
    async handle({ params, user, base }, { store }) {
      const flowToken = params.string('flow_token')
      if (flowToken !== undefined) {
        const source = await findSourceByTokenHash(store.reader, hashToken(flowToken))
        if (source === undefined || source.deleted_at !== null) throw notFound()
        return { status: 200, body: [encodeSource(source, base)] }
      }
      if (user === undefined) throw unauthorized()
      const flows = await listFlows(store.reader, user.id, 'joined')
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
      const flow = await joinedFlow(request, backend)
      const [source] = await findSources(backend.store.reader, [idSegment(request, 'source')])
      if (source === undefined || source.flow_id !== flow.id || source.deleted_at !== null) throw notFound()
      return { status: 200, body: encodeSource(source, request.base) }
    },
  },
]
