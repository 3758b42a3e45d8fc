import { decodeCapabilities } from './decode.ts'
import type { Capability } from './model.ts'
import type { FlowdockCalls } from './request.ts'

/** The capabilities, by their names in the upstream. */
const names: Readonly<Record<string, Capability>> = {
  activity: 'activity',
  avatar: 'avatar',
  'create-thread': 'createThread',
  'follow-flows': 'followFlows',
  'mark-read': 'markRead',
  'move-message': 'moveMessage',
  presence: 'presence',
  'remove-reaction': 'removeReaction',
  'rotate-push-token': 'rotatePushToken',
  rules: 'rules',
  search: 'search',
  typing: 'typing',
}

/** The extensions of the upstream to Flowdock's API; empty for an upstream without this route. */
export async function readCapabilities(calls: FlowdockCalls): Promise<ReadonlySet<Capability>> {
  const json = await calls.find(['capabilities'], { doing: 'ask what the upstream can do' })
  if (json === null) return new Set()
  return new Set(decodeCapabilities(json).flatMap((name) => names[name] ?? []))
}
