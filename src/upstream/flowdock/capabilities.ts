import { decodeCapabilities } from './decode.ts'
import type { Capability } from './model.ts'
import type { FlowdockCalls } from './request.ts'

/** By the names the upstream gives them. */
const names: Readonly<Record<string, Capability>> = {
  activity: 'activity',
  'create-thread': 'createThread',
  'follow-flows': 'followFlows',
  'mark-read': 'markRead',
  'move-message': 'moveMessage',
  presence: 'presence',
  'remove-reaction': 'removeReaction',
  'rotate-push-token': 'rotatePushToken',
  search: 'search',
  typing: 'typing',
}

/** What the upstream can do beyond Flowdock's API; nothing for one that does not know the question. */
export async function readCapabilities(calls: FlowdockCalls): Promise<ReadonlySet<Capability>> {
  const json = await calls.find(['capabilities'], { doing: 'ask what the upstream can do' })
  if (json === null) return new Set()
  return new Set(decodeCapabilities(json).flatMap((name) => names[name] ?? []))
}
