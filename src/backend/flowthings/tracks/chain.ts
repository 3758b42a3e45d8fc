import { isRecord } from '../../../json-values.ts'
import type { Evaluator } from '../filter/evaluate.ts'
import type { Subject } from '../filter/subject.ts'

/** A track as it is evaluated: drops of its source that match are copied to each destination. */
export interface Track {
  readonly id: string
  readonly isDisabled: boolean
  readonly matches: Evaluator
  /** The paths of flows. A track whose function names the paths itself may have none. */
  readonly destinations: readonly string[]
  /** The text of a function that makes drops of the drop; null copies it as it is. */
  readonly js: string | null
}

/** A drop for the flow at a path, made by a track of an earlier drop. */
export interface MadeDrop {
  readonly path: string
  /** Members as a client would send them. */
  readonly drop: Readonly<Record<string, unknown>>
}

/** The same in its chain. */
export type TrackedDrop<Made extends MadeDrop = MadeDrop> = Made & {
  /** How many tracks made it of the drop of a client, one behind the other. */
  readonly hops: number
}

/** What a track cannot do with a drop. The drop itself is stored all the same. */
export class TrackError extends Error {
  override readonly name = 'TrackError'
}

/** How long a chain of tracks is at most, and how many drops it makes of one. Tracks may form a circle. */
const maxHops = 10
const maxDrops = 100

/** The tracks of a flow that a drop goes through: those that were hit, and those whose filter it passed. */
export function selectTracks(tracks: readonly Track[], subject: Subject, now: number) {
  const hit = tracks.filter((track) => !track.isDisabled)
  return { hit, passed: hit.filter((track) => track.matches(subject, now)) }
}

/** The drops that follow from one, across flows, in the order in which they are to be written. */
export interface Chain<Made extends MadeDrop = MadeDrop> {
  /**
   * Adds what a track makes of a drop.
   *
   * @param hops of that drop; 0 for the drop of a client
   * @throws TrackError past the limits; then none of them is added
   */
  add(made: readonly Made[], hops: number): void
  next(): TrackedDrop<Made> | undefined
}

export function createChain<Made extends MadeDrop = MadeDrop>(): Chain<Made> {
  const waiting: TrackedDrop<Made>[] = []
  let total = 0
  return {
    add(made, hops) {
      if (made.length > 0 && hops >= maxHops)
        throw new TrackError(`More than ${maxHops} tracks follow each other; they may form a circle`)
      if (total + made.length > maxDrops)
        throw new TrackError(`Tracks make more than ${maxDrops} drops of one`)
      total += made.length
      waiting.push(...made.map((drop) => ({ ...drop, hops: hops + 1 })))
    },
    next: () => waiting.shift(),
  }
}

/** Members of a drop that its copies have, too. */
const copied = ['elems', 'location', 'fhash'] as const

/** A drop for each destination of a track. @param drop with its elements typed, so that they keep their types */
export function copyDrop(
  drop: Readonly<Record<string, unknown>>,
  { destinations }: Pick<Track, 'destinations'>,
) {
  const members = withParent(drop, drop)
  return destinations.map((path) => ({ path, drop: members }))
}

/**
 * The drops that the function of a track made of a drop: what it returned is a drop for each destination, an object of
 * lists of drops by the paths of their flows, or nothing. [flowthings] "In-depth tracks"
 *
 * @throws TrackError for anything else
 */
export function readReturned(
  returned: unknown,
  source: Readonly<Record<string, unknown>>,
  { destinations }: Pick<Track, 'destinations'>,
): MadeDrop[] {
  if (returned === null || returned === undefined) return []
  if (!isRecord(returned))
    throw new TrackError(
      'Expected the function to return a drop, an object of lists of drops by path, or null',
    )
  if (isRecord(returned['elems'])) {
    if (destinations.length === 0)
      throw new TrackError('The track has no destination for the drop of its function')
    const drop = withParent(returned, source)
    return destinations.map((path) => ({ path, drop }))
  }
  return Object.entries(returned).flatMap(([path, drops]) => {
    if (!path.startsWith('/'))
      throw new TrackError('Expected the function to return a drop with "elems", or lists of drops by path')
    return (Array.isArray(drops) ? drops : [drops]).map((drop: unknown) => {
      if (!isRecord(drop) || !isRecord(drop['elems']))
        throw new TrackError(`Expected the function to return a list of drops for "${path.slice(0, 200)}"`)
      return { path, drop: withParent(drop, source) }
    })
  })
}

function withParent(
  drop: Readonly<Record<string, unknown>>,
  { id, flowId, taskId }: Readonly<Record<string, unknown>>,
) {
  const members = copied.flatMap((name) => (drop[name] === undefined ? [] : [[name, drop[name]] as const]))
  return {
    ...Object.fromEntries(members),
    // So a task sees which other one a drop comes from.
    ...(taskId === undefined ? {} : { taskId }),
    parentDropId: { flowId, dropId: id },
  }
}
