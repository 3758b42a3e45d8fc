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

/** How long capabilities are remembered, in milliseconds: after an upgrade of the upstream they may be others. */
const maxAgeMs = 10_000

/** The capabilities of the project's own backend, which are the same for all principals. */
export class KnownCapabilities {
  readonly #now: () => number
  #capabilities: ReadonlySet<Capability> = new Set()
  #until = Number.NEGATIVE_INFINITY

  constructor(now = () => performance.now()) {
    this.#now = now
  }

  /** Whether the upstream was seen to have a capability. */
  has(capability: Capability): boolean {
    return this.#capabilities.has(capability) && this.#now() < this.#until
  }

  /** @param readAt when the read began, by the same clock */
  keep(capabilities: ReadonlySet<Capability>, readAt: number): void {
    this.#capabilities = capabilities
    this.#until = readAt + maxAgeMs
  }

  now(): number {
    return this.#now()
  }
}

/** The extensions of the upstream to Flowdock's API; empty for an upstream without this route. */
export async function readCapabilities(calls: FlowdockCalls): Promise<ReadonlySet<Capability>> {
  const json = await calls.find(['capabilities'], { doing: 'ask what the upstream can do' })
  if (json === null) return new Set()
  return new Set(decodeCapabilities(json).flatMap((name) => names[name] ?? []))
}
