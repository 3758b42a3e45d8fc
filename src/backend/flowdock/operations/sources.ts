import { ensureApplication } from '../../store/applications.ts'
import type { Change } from '../../store/change.ts'
import { updateSource } from '../../store/rights.ts'
import { findSources, insertSource, type SourceRow } from '../../store/sources.ts'
import type { UserRow } from '../../store/users.ts'
import type { FlowChannel } from '../channel.ts'
import { sendMessage } from './messages.ts'

export { deleteSource } from '../../store/rights.ts'

/**
 * Adds a source to a flow. The team inbox has a message that says so, in a thread of the source. [flowdock] sources.md, "Create a
 * source"
 *
 * @param source.tokenHash the hash of its flow token
 * @param source.applicationId the application of the token that adds the source. For a personal token, an unregistered
 *   application is used, with the name `source.application` or that of the source
 */
export async function addSource(
  change: Change,
  flow: FlowChannel,
  creator: UserRow,
  source: {
    readonly name: string
    readonly tokenHash: string
    readonly externalUrl?: string | null | undefined
    readonly applicationId?: number | undefined
    readonly application?: string
  },
): Promise<SourceRow> {
  const { db } = change
  const { name, tokenHash, externalUrl = null, application = name } = source
  const id = await insertSource(db, {
    flow_id: flow.id,
    application_id: source.applicationId ?? (await ensureApplication(db, application)),
    creator_id: creator.id,
    name,
    external_url: externalUrl,
    token_hash: tokenHash,
  })
  const [created] = (await findSources(db, [id])) as [SourceRow]
  await sendMessage(
    change,
    flow,
    { userId: 0, source: created },
    {
      event: 'activity',
      content: null,
      tags: [],
      title: 'added this source',
      author: { name: creator.name },
      thread: { title: name, externalUrl },
    },
  )
  return created
}

/** Changes the given properties of a source; null removes a value. */
export async function editSource(
  change: Change,
  id: number,
  changes: { error_message?: string | null; configuration_url?: string | null },
): Promise<SourceRow> {
  await updateSource(change, id, changes)
  const [edited] = (await findSources(change.db, [id])) as [SourceRow]
  return edited
}
