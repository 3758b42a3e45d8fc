import { createHash } from 'node:crypto'
import { GatewayError, ResponseTooLongError, ValidationError } from '../../errors.ts'
import type { ThingsCredential } from './credential.ts'
import type { DropHub } from './drop-hub.ts'
import type { Drops } from './drops.ts'
import { filtersOf, maxFilterCharacters } from './filter-lists.ts'
import { filterText, type ThingsFilter } from './filter-text.ts'
import type { Find } from './find.ts'
import type { Drop, ThingsFlow } from './model.ts'

/** What a subscription to drops delivers. The cursor names the position behind the event. */
export type DropEvent =
  | { readonly type: 'drop'; readonly cursor: string; readonly drop: Drop }
  | {
      readonly type: 'dropGap'
      readonly cursor: string
      readonly flowId: string
      readonly reason: DropGapReason
      /** The time after which drops may be missing. */
      readonly from: number
    }

/** Why drops are missing: the flow stores none, it was full, or a drop could not be decoded. */
export type DropGapReason = 'notStored' | 'evicted' | 'unreadable'

export interface DropSubscription {
  readonly hub: DropHub
  readonly credential: ThingsCredential
  readonly drops: Drops
  readonly flows: readonly ThingsFlow[]
  readonly filter: ThingsFilter | undefined
  /** The cursor to begin after; undefined for now. */
  readonly after: string | undefined
  readonly signal: AbortSignal
}

/** A time, and the drops of that time that were delivered. */
interface Position {
  readonly at: number
  readonly keys: ReadonlySet<string>
}

type Arrival =
  | { readonly kind: 'drop'; readonly drop: Drop }
  | { readonly kind: 'unreadable'; readonly flowId: string }
  | { readonly kind: 'rejoined' }

/** The most drops that wait for a slow reader. */
const maxWaiting = 1000
/** The most delivered drops that are remembered: more than can wait during a replay. */
const maxRecent = 10_000
const replayPage = 500
const maxReplayPage = 100_000
/** How many flows are read at once when pages have one drop: all of them may be as large as drops can be. */
const flowsOfLargeDrops = 25
/** The most drops of one time in a cursor. With more, some are delivered again after a resume. */
const maxKeys = 20

/**
 * Delivers drops as they arrive. After a lost connection, and after a cursor, it first reads what was missed: each drop once, in
 * the order of their times. A drop that replaced another one by its `fhash` counts from the time of the replacement.
 *
 * @throws GatewayError `SLOW_CONSUMER` for a reader that is too slow; what the upstream refuses
 */
export async function* readDropEvents(subscription: DropSubscription): AsyncGenerator<DropEvent> {
  const { hub, credential, flows, signal, after } = subscription
  const waiting: Arrival[] = []
  let wake = Promise.withResolvers<void>()
  let failure: { readonly error: unknown } | undefined
  const push = (arrival: Arrival) => {
    if (waiting.length >= maxWaiting) return fail(tooSlow())
    waiting.push(arrival)
    wake.resolve()
  }
  const fail = (error: unknown) => {
    failure ??= { error }
    wake.resolve()
  }
  const resumed = after === undefined ? undefined : decodeDropCursor(after)
  const progress = new Progress(resumed ?? (await newest(subscription)))
  const leave = await hub.join(credential, {
    flowIds: new Set(flows.map(({ id }) => id)),
    drop: (drop) => push({ kind: 'drop', drop }),
    unreadable: (flowId) => push({ kind: 'unreadable', flowId }),
    rejoined: () => push({ kind: 'rejoined' }),
    end: fail,
  })
  const stop = () => wake.resolve()
  signal.addEventListener('abort', stop, { once: true })
  try {
    if (resumed !== undefined) yield* replay(subscription, progress)
    for (;;) {
      if (signal.aborted) return
      if (failure !== undefined) throw failure.error
      if (waiting.length === 0) {
        wake = Promise.withResolvers<void>()
        await wake.promise
        continue
      }
      yield* deliver(subscription, progress, waiting.splice(0))
    }
  } finally {
    signal.removeEventListener('abort', stop)
    leave()
  }
}

/** Delivers arrivals in order. */
async function* deliver(
  subscription: DropSubscription,
  progress: Progress,
  arrivals: readonly Arrival[],
): AsyncGenerator<DropEvent> {
  const matching = await matchingOf(
    subscription,
    arrivals.flatMap((each) => (each.kind === 'drop' ? each.drop : [])),
  )
  for (const arrival of arrivals) {
    if (arrival.kind === 'rejoined') yield* replay(subscription, progress)
    else if (arrival.kind === 'unreadable') yield progress.gap(arrival.flowId, 'unreadable')
    else if (progress.isNew(arrival.drop)) {
      const event = progress.take(arrival.drop)
      if (matching.has(arrival.drop.id)) yield event
    }
  }
}

/** The ids of the drops that match the filter. The upstream decides it, in as few calls as its limit on filters allows. */
async function matchingOf(
  { drops, filter }: DropSubscription,
  candidates: readonly Drop[],
): Promise<ReadonlySet<string>> {
  if (filter === undefined || candidates.length === 0) return new Set(candidates.map(({ id }) => id))
  const maxCharacters = maxFilterCharacters - filterText(filter, ['input', 'filter']).length - ' && '.length
  const lists = [...Map.groupBy(candidates, ({ flowId }) => flowId)].map(([flowId, of]) => ({
    flowId,
    ...{ limit: of.length, ofIds: filtersOf('id', [...new Set(of.map(({ id }) => id))], maxCharacters) },
  }))
  const matching = new Set<string>()
  for (let round = 0; ; round += 1) {
    const finds = lists.flatMap(({ flowId, limit, ofIds }) => {
      const ids = ofIds[round]
      return ids === undefined ? [] : [[flowId, { filters: [ids, filter], order: 'asc', limit }] as const]
    })
    if (finds.length === 0) return matching
    const found = await drops.findHeadsInFlows(new Map(finds))
    for (const { id } of [...found.values()].flat()) matching.add(id)
  }
}

/** Delivers what was stored after the position, page by page. */
async function* replay(subscription: DropSubscription, progress: Progress): AsyncGenerator<DropEvent> {
  const { drops, flows } = subscription
  const from = progress.at
  const counts = new Map<string, number>()
  for (const { id, capacity } of flows) if (capacity === 0) yield progress.gap(id, 'notStored')
  const stored = flows.filter(({ capacity }) => capacity > 0)
  let maxLimit = maxReplayPage
  for (let limit = replayPage; stored.length > 0; ) {
    const begun = progress.at
    const pages = await readPages(drops, stored, { filters: [arrivedFrom(begun)], order: 'asc', limit })
    if (pages === undefined) {
      // Large drops: smaller pages, and never one as long as this again.
      maxLimit = limit - 1
      limit = Math.ceil(limit / 8)
      continue
    }
    const full = pages.filter((page) => page.length >= limit)
    // Beyond the end of a page that is full, other flows have drops that come later.
    const bound = Math.min(...full.map((page) => page.at(-1)?.createdAt ?? 0))
    const next = pages
      .flat()
      .filter((drop) => timeOf(drop) <= bound && progress.isNew(drop))
      .sort((a, b) => timeOf(a) - timeOf(b))
    for (const { flowId } of next) counts.set(flowId, (counts.get(flowId) ?? 0) + 1)
    const matching = await matchingOf(subscription, next)
    for (const { id, capacity } of stored) {
      // A flow that has nothing older may have lost drops when it was full.
      if (counts.get(id) === capacity) yield progress.gap(id, 'evicted', from)
    }
    for (const drop of next) {
      const event = progress.take(drop)
      if (matching.has(drop.id)) yield event
    }
    if (full.length === 0) return
    if (progress.at > begun) continue
    if (limit >= maxLimit) throw tooSlow()
    limit = Math.min(limit * 2, maxLimit)
  }
}

/** A page of the drops of each flow. Undefined when it is too long for a response and can be shorter. */
async function readPages(
  drops: Drops,
  flows: readonly ThingsFlow[],
  find: Find,
): Promise<readonly Drop[][] | undefined> {
  const pages: Drop[][] = []
  const atOnce = find.limit === 1 ? flowsOfLargeDrops : flows.length
  try {
    for (let from = 0; from < flows.length; from += atOnce) {
      const finds = flows.slice(from, from + atOnce).map(({ id }) => [id, find] as const)
      pages.push(...(await drops.findInFlows(new Map(finds))).values())
    }
    return pages
  } catch (error) {
    if (error instanceof ResponseTooLongError && find.limit > 1) return undefined
    throw error
  }
}

/** Drops that arrived at a time or later. */
function arrivedFrom(at: number): ThingsFilter {
  const from = (member: string): ThingsFilter => ({ compare: { member, comparison: '>=', value: at } })
  return { or: [from('creationDate'), { and: [{ exists: 'fhash' }, from('lastEditDate')] }] }
}

/** The position behind the newest drop of the flows. */
async function newest({ drops, flows }: DropSubscription): Promise<Position> {
  const find = { filters: [], order: 'desc', limit: maxKeys } as const
  const found = [
    ...(await drops.findHeadsInFlows(new Map(flows.map(({ id }) => [id, find])))).values(),
  ].flat()
  const at = Math.max(0, ...found.map(timeOf))
  return { at, keys: new Set(found.filter((drop) => timeOf(drop) === at).map(keyOf)) }
}

/** The position of a subscription. */
class Progress {
  #at: number
  #keys: Set<string>
  /** What was delivered lately: a drop may be replayed, and arrive, too. */
  readonly #recent: Set<string>

  constructor({ at, keys }: Position) {
    this.#at = at
    this.#keys = new Set(keys)
    this.#recent = new Set(keys)
  }

  get at(): number {
    return this.#at
  }

  /** Whether a drop was not delivered. One that is older than the position arrived late. */
  isNew(drop: Drop): boolean {
    return !this.#recent.has(keyOf(drop))
  }

  take(drop: Drop): DropEvent {
    const at = timeOf(drop)
    if (at > this.#at) {
      this.#at = at
      this.#keys = new Set()
    }
    const key = keyOf(drop)
    if (at === this.#at) this.#keys.add(key)
    this.#recent.add(key)
    const [oldest] = this.#recent.size > maxRecent ? this.#recent : []
    if (oldest !== undefined) this.#recent.delete(oldest)
    return { type: 'drop', cursor: this.#cursor(), drop }
  }

  gap(flowId: string, reason: DropGapReason, from = this.#at): DropEvent {
    return { type: 'dropGap', cursor: this.#cursor(), flowId, reason, from }
  }

  #cursor(): string {
    const keys = [...this.#keys].slice(-maxKeys)
    return Buffer.from(`drop:${this.#at}~${keys.join('~')}`).toString('base64url')
  }
}

/** The time at which a drop arrived. */
function timeOf({ createdAt, editedAt, fhash }: Drop): number {
  return fhash === null ? createdAt : Math.max(createdAt, editedAt ?? 0)
}

/** The same for the same arrival of a drop: one with an `fhash` arrives again when it is replaced. */
function keyOf({ id, version, fhash }: Drop): string {
  const arrival = fhash === null ? id : `${id} ${version}`
  return createHash('sha256').update(arrival).digest('base64url').slice(0, 12)
}

/** @throws ValidationError for a text that is no cursor of drops */
function decodeDropCursor(cursor: string): Position {
  const text = Buffer.from(cursor, 'base64url').toString('utf8')
  const [, at, keys] = /^drop:(\d{1,15})~((?:[\w-]{12}(?:~[\w-]{12})*)?)$/.exec(text) ?? []
  if (at === undefined || keys === undefined)
    throw new ValidationError(
      `Expected input.after to be the cursor of an event of drops; got "${cursor.slice(0, 80)}"`,
      [],
      { inputPath: ['input', 'after'] },
    )
  return { at: Number(at), keys: new Set(keys === '' ? [] : keys.split('~')) }
}

function tooSlow(): GatewayError {
  return new GatewayError(
    'SLOW_CONSUMER',
    'The subscription was ended: its drops come faster than they are received; resume after the last cursor',
  )
}
