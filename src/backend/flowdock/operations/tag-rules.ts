import type { Change } from '../../store/change.ts'
import { findFlow } from '../../store/flows.ts'
import type { MessageRow } from '../../store/messages.ts'
import { addRuleJob, listActiveTagRules } from '../../store/rules.ts'
import { findSources } from '../../store/sources.ts'
import { findUser } from '../../store/users.ts'
import type { FlowChannel } from '../channel.ts'
import { storedText } from '../message-text.ts'

/** What a tag rule writes: a drop as clients of flowthings send it. */
export interface TagJob {
  readonly messageId: number
  readonly drop: { readonly fhash: string; readonly elems: Readonly<Record<string, unknown>> }
}

/** Tags with a colon in front, and `influx:ID`, are marks of the service. */
export function isRuleTag(tag: string): boolean {
  return !/^(:|influx:)/.test(tag)
}

/**
 * Gives the tag rules of a flow their jobs for a message, in the transaction that stores it.
 *
 * @param tags the tags that the message has now, and had not before
 */
export async function triggerTagRules(
  change: Change,
  flow: FlowChannel,
  message: MessageRow,
  tags: readonly string[],
): Promise<void> {
  const added = new Set(tags.filter(isRuleTag))
  if (added.size === 0) return
  const { db } = change
  const rules = (await listActiveTagRules(db, flow.id)).filter(({ tag }) => tag !== null && added.has(tag))
  if (rules.length === 0) return
  const job = await describeMessage(change, flow, message)
  const now = change.now()
  for (const rule of rules) if (await addRuleJob(db, rule, () => job, now)) change.noteRuleJobs()
}

async function describeMessage({ db }: Change, { id }: FlowChannel, message: MessageRow): Promise<TagJob> {
  const flow = await findFlow(db, { id })
  const tags = JSON.parse(message.tags_json) as string[]
  return {
    messageId: message.id,
    drop: {
      // A tag that is removed and added again replaces the drop.
      fhash: `message:${id}:${message.id}`,
      elems: {
        text: storedText(message),
        author: await authorOf({ db }, message),
        ...(message.user_id === 0 ? {} : { authorId: message.user_id }),
        tags: tags.filter(isRuleTag),
        kind: message.event,
        flow: `${flow?.organization_slug}/${flow?.slug}`,
        messageId: message.id,
        ...(message.uuid === null ? {} : { uuid: message.uuid }),
        ...(message.thread_id === null ? {} : { threadId: message.thread_id }),
        sentAt: { type: 'date', value: message.sent },
      },
    },
  }
}

/** The name that clients show: that of an integration, or the nick of the user. */
async function authorOf({ db }: Pick<Change, 'db'>, message: MessageRow): Promise<string> {
  const { external_user_name: external, author_json: author } = message
  if (external !== null) return external
  if (author !== null) return (JSON.parse(author) as { name: string }).name
  if (message.user_id !== 0) return (await findUser(db, message.user_id))?.nick ?? ''
  return (await findSources(db, [message.source_id]))[0]?.name ?? ''
}
