import { HttpError, notFound } from '../../http/errors.ts'
import type { Database } from '../../store/db.ts'
import { type Flow, findFlow } from '../../store/flows.ts'
import { findSourceByTokenHash, type SourceRow } from '../../store/sources.ts'
import { hashToken } from '../../token-hash.ts'
import type { MessageDraft } from '../message-draft.ts'
import { sendMessage } from '../operations/messages.ts'
import type { Backend, Request } from '../route.ts'

/** The source that a flow token belongs to. @throws 404 for an unknown token, 410 for that of a removed source */
export async function activeSource(db: Database, flowToken: string): Promise<SourceRow> {
  const source = await findSourceByTokenHash(db, hashToken(flowToken))
  if (source === undefined) throw notFound()
  if (source.deleted_at !== null) throw new HttpError(410, { message: 'The source was removed' })
  return source
}

/**
 * The principal of the first token of a push URL, so that a larger body is read. The handler refuses a token that is not valid,
 * with the reason.
 */
export async function pushHolder(
  { path, query }: Pick<Request, 'path' | 'query'>,
  { store }: Pick<Backend, 'store'>,
): Promise<string | undefined> {
  const [token = ''] = (path['token'] ?? query.get('tokens') ?? '').split(/[,+]/, 1)
  const flow = await findFlow(store.reader, { pushToken: token })
  if (flow !== undefined) return `push:${flow.id}`
  const source = await findSourceByTokenHash(store.reader, hashToken(token))
  return source === undefined || source.deleted_at !== null ? undefined : `source:${source.id}`
}

interface PushTarget {
  readonly flow: Flow
  /** Undefined for the push token of a flow, which belongs to no source. */
  readonly source: SourceRow | undefined
}

/** Sends a message to each flow that a token of a push URL names; several tokens are joined by commas. */
export async function push(
  tokens: string,
  draft: MessageDraft,
  { store, log }: Pick<Backend, 'store' | 'log'>,
): Promise<{ status: number; body: object }> {
  const unique = await knownTokens(tokens, store.reader)
  await log.write(async (change) => {
    for (const token of unique) {
      const { flow, source } = await pushTarget(change.db, token)
      await sendMessage(change, flow, { userId: 0, ...(source === undefined ? {} : { source }) }, draft)
    }
  })
  return { status: 200, body: {} }
}

/**
 * The tokens of a push URL, each once. They are looked up before the transaction, so that a wrong token does not take the turn of
 * the only writer. The transaction looks them up again, since one may be replaced meanwhile.
 *
 * @throws 404 or 410, as `pushTarget`
 */
export async function knownTokens(tokens: string, db: Database): Promise<string[]> {
  const unique = [...new Set(tokens.split(',').slice(0, 20))]
  for (const token of unique) await pushTarget(db, token)
  return unique
}

/**
 * The flow that a token of a push URL posts to. Integrations were given the push token of a flow or, later, the flow token of
 * a source.
 *
 * @throws 404 for an unknown token and for an archived flow, 410 for the token of a removed source
 */
async function pushTarget(db: Database, token: string): Promise<PushTarget> {
  const pushed = await findFlow(db, { pushToken: token })
  const source = pushed === undefined ? await activeSource(db, token) : undefined
  const flow = source === undefined ? pushed : await findFlow(db, { id: source.flow_id })
  if (flow === undefined || flow.disabled === 1) throw notFound()
  return { flow, source }
}
