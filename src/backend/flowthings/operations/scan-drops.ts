import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '../../store/db.ts'
import type { DropCondition } from '../../store/things/drop-conditions.ts'
import {
  findDropBounds,
  findDropFrom,
  listDropsBetween,
  type SeqRange,
} from '../../store/things/drop-scans.ts'
import { type DropRow, listDrops } from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import { readStored, type StoredDrop, toSubject } from '../drop-model.ts'
import { createdRange, translateFilter } from '../filter/drop-conditions.ts'
import { compileFilter } from '../filter/evaluate.ts'
import type { Subject } from '../filter/subject.ts'
import type { Filter } from '../filter/syntax-tree.ts'
import { badRequest } from '../things-error.ts'

export type ScannedFlow = Pick<FlowRow, 'no' | 'id' | 'path'>

/** A drop that matches. It is parsed when it is looked into. */
export class ScannedDrop {
  readonly row: DropRow
  readonly #flow: ScannedFlow
  #stored: StoredDrop | undefined
  #subject: Subject | undefined

  constructor(flow: ScannedFlow, row: DropRow) {
    this.#flow = flow
    this.row = row
  }

  get stored(): StoredDrop {
    this.#stored ??= readStored(this.row)
    return this.#stored
  }

  /** What filters read of it. */
  get subject(): Subject {
    this.#subject ??= toSubject(this.#flow, this.row, this.stored)
    return this.#subject
  }
}

export interface ScanOptions {
  /** Newest first; else oldest first. */
  readonly descending: boolean
  /** How long it may take, in milliseconds. */
  readonly maxMs?: number
}

/** How many rows a query reads, and how many numbers of drops it covers. Both adapt to how long queries take. */
const pages = { first: 64, least: 8, most: 512 }
const spans = { first: 64, least: 8, most: 2 ** 20 }
const queryMs = { short: 3, long: 10 }
/** How long the thread works before others have their turn. */
const turnMs = 8
const defaultMaxMs = 10_000

/**
 * The drops of a flow that match a filter, in the order of their numbers, which is that of their creation. The database
 * decides what it can of the filter, in queries that are short enough for others to have their turns. Bounds on the creation
 * date are found by bisection, and nothing beyond them is read. Drops that arrive meanwhile are left out, or come at the end.
 *
 * @throws ThingsError 400 when it takes longer than it may
 */
export async function* scanDrops(
  access: Pick<Access, 'db' | 'now'>,
  flow: ScannedFlow,
  filter: Filter,
  { descending, maxMs = defaultMaxMs }: ScanOptions,
): AsyncGenerator<ScannedDrop> {
  const matches = compileFilter(filter, 'drop')
  const translation = translateFilter(filter, { flowId: flow.id, path: flow.path }, access.now)
  const reading = { descending, pace: createPace(maxMs) }
  const read =
    translation === undefined || filter.kind === 'all'
      ? readPages(access, flow, reading)
      : readWindows(access, flow, translation.condition, reading)
  for await (const rows of read)
    for (const row of rows) {
      const drop = new ScannedDrop(flow, row)
      if (translation?.isExact === true || matches(drop.subject, access.now)) yield drop
      const turn = reading.pace.rest()
      if (turn !== undefined) await turn
    }
}

interface Reading {
  readonly descending: boolean
  readonly pace: Pace
}

/** All rows of a flow. */
async function* readPages(
  { db }: Pick<Access, 'db'>,
  flow: ScannedFlow,
  { descending, pace }: Reading,
): AsyncGenerator<readonly DropRow[]> {
  let seq = descending ? Number.MAX_SAFE_INTEGER : 0
  let limit = pages.first
  while (true) {
    const begin = performance.now()
    const rows = await listDrops(db, flow.no, descending ? { before: seq } : { after: seq }, limit)
    const tookMs = performance.now() - begin
    yield rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < limit) return
    seq = last.seq
    limit = adapt(limit, pages, tookMs)
    await pace.rest()
  }
}

/** Rows that fulfil a condition. Few may, so a query covers a certain range of numbers. */
async function* readWindows(
  { db }: Pick<Access, 'db'>,
  flow: ScannedFlow,
  condition: DropCondition,
  { descending, pace }: Reading,
): AsyncGenerator<readonly DropRow[]> {
  let { from, to } = await findSeqRange(db, flow, condition)
  let span = spans.first
  const limit = pages.most
  while (from <= to) {
    const window = descending
      ? { from: Math.max(from, to - span + 1), to }
      : { from, to: Math.min(to, from + span - 1) }
    const begin = performance.now()
    const rows = await listDropsBetween(db, flow.no, window, { descending, limit, condition })
    span = adapt(span, spans, performance.now() - begin)
    yield rows
    const last = rows.length < limit ? undefined : rows.at(-1)?.seq
    if (descending) to = (last ?? window.from) - 1
    else from = (last ?? window.to) + 1
    await pace.rest()
  }
}

function adapt(size: number, { least, most }: typeof pages, tookMs: number): number {
  if (tookMs > queryMs.long) return Math.max(least, Math.floor(size / 2))
  return tookMs < queryMs.short ? Math.min(most, size * 2) : size
}

/** The numbers of the drops that can fulfil a condition on their creation. */
async function findSeqRange(db: Database, flow: ScannedFlow, condition: DropCondition): Promise<SeqRange> {
  const all = await findDropBounds(db, flow.no)
  const created = createdRange(condition)
  if (created.from > created.to) return { from: 1, to: 0 }
  const from = Number.isFinite(created.from) ? await bisect(db, flow, all, created.from) : all.from
  const to = Number.isFinite(created.to) ? (await bisect(db, flow, all, created.to + 1)) - 1 : all.to
  return { from, to }
}

/** The first number from which on drops were created at a time or later. */
async function bisect(db: Database, flow: ScannedFlow, all: SeqRange, time: number): Promise<number> {
  let [low, high] = [all.from, all.to + 1]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const row = await findDropFrom(db, flow.no, middle)
    if (row === undefined || row.created_at >= time) high = middle
    else low = row.seq + 1
  }
  return low
}

interface Pace {
  /** Lets others have their turn when it is time; else undefined. @throws ThingsError 400 when the reading takes too long */
  rest(): Promise<void> | undefined
}

function createPace(maxMs: number): Pace {
  const end = performance.now() + maxMs
  let turn = performance.now()
  const pause = async () => {
    await nextTurn()
    turn = performance.now()
  }
  return {
    rest() {
      const now = performance.now()
      if (now > end)
        throw badRequest(
          `Reading the drops takes more than ${maxMs} ms: expected a filter that narrows them, such as one by creationDate or AGE`,
        )
      return now - turn < turnMs ? undefined : pause()
    },
  }
}
