import type { Background } from '../background.ts'
import type { Bus } from '../bus/bus.ts'
import type { BusDrop } from '../bus/messages.ts'
import type { Database, Store } from '../store/db.ts'
import {
  type ArrivalRow,
  deleteArrivals,
  findLastArrival,
  findOldArrival,
  listArrivalsAfter,
} from '../store/things/arrivals.ts'
import { insertArrival } from '../store/things/drop-batch.ts'
import { createTailer, type Tailer } from '../tailer.ts'
import { readStored, type StoredDrop } from './drop-model.ts'
import type { Arrival } from './operations/writing.ts'

/** An arrival with its number; without one if it was deleted. */
export interface NumberedArrival {
  readonly seq: number
  readonly arrival: Arrival | undefined
  readonly encoded: BusDrop
}

/** Delivers new drops to listeners, in the order of their commits, also those that other processes wrote. */
export interface Arrivals {
  /** Stores arrivals in the transaction that writes their drops. */
  store(db: Database, now: number, arrivals: readonly Arrival[]): Promise<readonly NumberedArrival[]>
  /** Delivers stored arrivals after the commit, and announces them to other backends. */
  publish(arrivals: readonly NumberedArrival[]): void
  /** @returns a function that removes the listener */
  listen(listener: (arrival: Arrival) => void): () => void
  /** Delivers what other processes wrote and did not announce. @throws the error of the read of the newest number */
  catchUp(): Promise<void>
}

export interface ArrivalsOptions {
  readonly store: Store
  readonly background: Background
  /** Ends reads that are repeated, and the deletion of old arrivals. */
  readonly signal: AbortSignal
  readonly bus?: Bus | undefined
  /** Called when arrivals were deleted, or lost in a failover, before they could be delivered here. */
  readonly onLost: () => void
}

const pageSize = 500
/** How long arrivals are stored for other backends, how often older ones are deleted, and how many at once. */
const keptMs = 60_000
const cleanEveryMs = 10_000
const cleanedAtOnce = 5000

export async function createArrivals(options: ArrivalsOptions): Promise<Arrivals> {
  const { store, background, signal, bus, onLost } = options
  const listeners = new Set<(arrival: Arrival) => void>()
  /** Whether there are other arrivals than those that were delivered, under the same numbers. */
  let hasDiverged = false
  let tailer = follow(await findLastArrival(store.reader))

  function follow(after: number): Tailer<NumberedArrival> {
    const created = createTailer<NumberedArrival>(
      after,
      {
        deliver({ arrival }) {
          if (arrival !== undefined) for (const listener of listeners) listener(arrival)
        },
        read: (from) => background.run(readPage(created, from)),
        retryAfter(ms) {
          setTimeout(() => {
            if (!signal.aborted) created.retry()
          }, ms).unref()
        },
        diverged() {
          hasDiverged = true
          background.run(catchUp())
        },
      },
      // What was deleted has none.
      { fingerprintOf: ({ encoded }) => encoded.place || undefined },
    )
    return created
  }

  async function readPage(reading: Tailer<NumberedArrival>, after: number): Promise<void> {
    let rows: ArrivalRow[]
    try {
      rows = await listArrivalsAfter(store.reader, after, pageSize)
    } catch (error) {
      reading.readFailed()
      throw error
    }
    const [first] = rows
    if (first !== undefined && first.seq > after + 1) onLost()
    reading.pageRead(
      rows.map(({ seq, place_json: place, drop_json: drop }) => decode(seq, { place, drop })),
      rows.length < pageSize,
    )
  }

  /** Arrivals that are not announced yet: changes that share a commit are one message. */
  let unannounced: NumberedArrival[] = []

  function announce(arrivals: readonly NumberedArrival[]): void {
    if (bus === undefined || arrivals.length === 0) return
    if (unannounced.length === 0) queueMicrotask(publishUnannounced)
    unannounced.push(...arrivals)
  }

  function publishUnannounced(): void {
    const [first, last] = [unannounced[0], unannounced.at(-1)]
    const drops = unannounced.map(({ encoded }) => encoded)
    unannounced = []
    if (first !== undefined && last !== undefined)
      bus?.publish({ kind: 'drops', from: first.seq, to: last.seq, drops })
  }

  async function catchUp(): Promise<void> {
    const { delivered } = tailer
    const newest = await findLastArrival(store.reader)
    if (newest < delivered || hasDiverged) {
      // A backup was restored, or a failover led to a replica without the last commits.
      hasDiverged = false
      tailer = follow(newest)
      onLost()
    } else {
      tailer.noteHead(newest)
      tailer.retry()
    }
  }

  async function clean(): Promise<void> {
    const old = await findOldArrival(store.reader, Date.now() - keptMs, cleanedAtOnce)
    if (old !== undefined) await store.write((db) => deleteArrivals(db, old))
  }

  const removeListener = bus?.listen((message) => {
    if (message.kind !== 'drops') return
    const { from, to, drops } = message
    if (drops === undefined) tailer.noteHead(to)
    else tailer.receive(drops.map((drop, index) => decode(from + index, drop)))
  })
  bus?.onConnected(() => {
    if (!signal.aborted) background.run(catchUp())
  })
  const cleaning = setInterval(() => background.run(clean()), cleanEveryMs)
  cleaning.unref()
  signal.addEventListener('abort', () => {
    clearInterval(cleaning)
    removeListener?.()
  })

  return {
    async store(db, now, arrivals) {
      const numbered: NumberedArrival[] = []
      for (const arrival of arrivals) {
        const encoded = encode(arrival)
        const { place: place_json, drop: drop_json } = encoded
        const seq = await insertArrival(db, { stored_at: now, place_json, drop_json })
        numbered.push({ seq, arrival, encoded })
      }
      return numbered
    },
    publish(arrivals) {
      tailer.receive(arrivals)
      announce(arrivals)
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    catchUp,
  }
}

/** The flow and the columns of the row; the members of the drop are beside them. */
type Place = [
  flow: [id: string, path: string, key: string, accountId: number],
  row: [no: number, seq: number, id: string, fhash: string | null, createdAt: number],
]

function encode({ flow, row }: Arrival): BusDrop {
  const place: Place = [
    [flow.id, flow.path, flow.path_key, flow.account_id],
    [row.flow_no, row.seq, row.id, row.fhash, row.created_at],
  ]
  return { place: JSON.stringify(place), drop: row.drop_json }
}

function decode(seq: number, encoded: BusDrop): NumberedArrival {
  return { seq, encoded, arrival: encoded.place === '' ? undefined : new DecodedArrival(encoded) }
}

/** An arrival of another process. The drop is parsed when it has a subscriber. */
class DecodedArrival implements Arrival {
  readonly flow: Arrival['flow']
  readonly row: Arrival['row']
  #stored: StoredDrop | undefined

  constructor({ place, drop }: BusDrop) {
    const [flow, row] = JSON.parse(place) as Place
    const [id, path, path_key, account_id] = flow
    this.flow = { id, path, path_key, account_id }
    const [flow_no, seq, dropId, fhash, created_at] = row
    this.row = { flow_no, seq, id: dropId, fhash, created_at, drop_json: drop }
  }

  get stored(): StoredDrop {
    this.#stored ??= readStored(this.row)
    return this.#stored
  }
}
