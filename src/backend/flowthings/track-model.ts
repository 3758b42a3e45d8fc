import type { FlowRow } from '../store/things/flows.ts'
import type { ObjectRow } from '../store/things/objects.ts'
import type { FilterCache } from './filter-cache.ts'
import type { Style } from './style.ts'
import type { Track } from './tracks/chain.ts'

/** The members of a track that the server reads. */
export interface TrackMembers {
  readonly source: string
  /** As the client sent it: one path, or a list. */
  readonly destination?: string | readonly string[]
  readonly filter?: string
  readonly js?: string
  readonly disabled?: boolean
  /** How its function is shown elements: as the version of the API does that it was created with. */
  readonly style: Style
}

/** What tracks of a flow are found by. Paths belong to the account of the flow. */
export function trackSubject({ account_id, path_key }: Pick<FlowRow, 'account_id' | 'path_key'>): string {
  return `${account_id} ${path_key}`
}

export function readTrack({ object_json }: ObjectRow): TrackMembers {
  return JSON.parse(object_json) as TrackMembers
}

export function destinationsOf({ destination = [] }: Pick<TrackMembers, 'destination'>): readonly string[] {
  return typeof destination === 'string' ? [destination] : destination
}

/** A track as the drops of its source go through it. */
export function toTrack(row: ObjectRow, filters: FilterCache): Track {
  const members = readTrack(row)
  return {
    id: row.id,
    isDisabled: members.disabled === true,
    matches: filters.get(members.filter, 'drop'),
    destinations: destinationsOf(members),
    js: members.js ?? null,
  }
}
