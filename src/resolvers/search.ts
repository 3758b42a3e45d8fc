import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Message } from '../upstream/flowdock/model.ts'
import { maxPageSize } from './pagination.ts'

interface SearchArgs {
  readonly text?: string | null | undefined
  readonly tags?: readonly string[] | null | undefined
  readonly tagMode: 'all' | 'any'
  readonly last: number
}

/** Upstreams that search one flow at a time are asked for so many, the ones somebody wrote to last. */
const maxFlows = 20

/** What was found, oldest first. */
export interface Found {
  readonly messages: readonly Message[]
  /** Whether every flow was searched. */
  readonly isExhaustive: boolean
}

export async function search(_: unknown, args: SearchArgs, { flowdock }: Context): Promise<Found> {
  const text = args.text?.trim() ?? ''
  const tags = args.tags ?? []
  if (text === '' && tags.length === 0) throw new ValidationError('Expected text or tags to search for')
  if (args.last < 1 || args.last > maxPageSize)
    throw new ValidationError(`Expected last to be 1 to ${maxPageSize}, got ${args.last}`)
  const query = {
    text: text === '' ? undefined : text,
    tags,
    anyTag: args.tagMode === 'any',
    limit: args.last,
  }
  if ((await flowdock.capabilities()).has('search'))
    return { messages: await flowdock.messages.search(query), isExhaustive: true }

  const flows = (await flowdock.load.flows('joined')).toSorted(
    (a, b) => (b.lastMessageAt ?? 0) - (a.lastMessageAt ?? 0),
  )
  const found = await Promise.all(
    flows.slice(0, maxFlows).map(({ path }) => flowdock.messages.searchIn(path, undefined, query)),
  )
  const messages = found.flat().toSorted((a, b) => a.sentAt - b.sentAt || a.id - b.id)
  return { messages: messages.slice(-args.last), isExhaustive: flows.length <= maxFlows }
}
