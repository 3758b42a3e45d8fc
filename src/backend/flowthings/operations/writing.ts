import type { DropRow } from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import type { StoredDrop } from '../drop-model.ts'

/** A drop that came into a flow, whether it is stored or not. */
export interface Arrival {
  readonly flow: Pick<FlowRow, 'id' | 'path' | 'path_key' | 'account_id'>
  readonly row: DropRow
  readonly stored: StoredDrop
}

/** A change under way, within a transaction. Arrivals are sent to subscribers after its commit, in their order. */
export interface Writing extends Access {
  readonly arrivals: Arrival[]
  /** Whether the function of a track has something to do after the commit. */
  hasScriptJobs: boolean
  /** Whether a rule writes: then the drops, and what tracks make of them, start no rule. */
  isFromRule: boolean
  /** Whether rules have something to do after the commit. */
  hasRuleJobs: boolean
}

/** A change that has written nothing yet. */
export function beginWriting(access: Access): Writing {
  return { ...access, arrivals: [], hasScriptJobs: false, isFromRule: false, hasRuleJobs: false }
}
