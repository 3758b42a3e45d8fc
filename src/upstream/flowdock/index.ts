import { buildUrl } from '../build-url.ts'
import { type KnownCapabilities, readCapabilities } from './capabilities.ts'
import { createConversations } from './conversations.ts'
import type { Directory } from './directory.ts'
import type { Entities } from './entities.ts'
import { createFlows } from './flows.ts'
import { createInvitations } from './invitations.ts'
import { createLoaders, type Loaders, type Resources } from './loaders.ts'
import { createMessages } from './messages.ts'
import type { Capability } from './model.ts'
import { createOrganizations } from './organizations.ts'
import { type CallOptions, createCalls } from './request.ts'
import { createRules } from './rules.ts'
import { createSources } from './sources.ts'
import { createThreads } from './threads.ts'
import { createUsers } from './users.ts'

/** The upstream as one principal sees it, for one operation. */
export interface Flowdock extends Resources {
  /** Cached reads of this operation. The other members always make a call. */
  readonly load: Loaders
  /** The extensions of the upstream to Flowdock's API. */
  capabilities(): Promise<ReadonlySet<Capability>>
  /** Whether the upstream has one of them. It is followed by a call, which checks the credential. */
  can(capability: Capability): Promise<boolean>
  /** The public URL of a path of the REST API. Each part becomes one segment. */
  address(...path: string[]): string
}

export interface FlowdockOptions extends CallOptions {
  /** The public REST URL; by default `base`. */
  readonly publicBase?: string | undefined
  /** Flows and users that need no calls when an event is executed. */
  readonly directory?: Directory | undefined
  /** The same for an operation. */
  readonly entities?: Entities | undefined
  /** What other operations read of the same upstream. */
  readonly known?: KnownCapabilities | undefined
}

export function createFlowdock(options: FlowdockOptions): Flowdock {
  const publicBase = options.publicBase ?? options.base
  const calls = createCalls({
    ...options,
    onChange() {
      load.changed()
      options.onChange?.()
    },
  })
  const resources: Resources = {
    users: createUsers(calls),
    organizations: createOrganizations(calls),
    flows: createFlows(calls),
    messages: createMessages(calls, options.pages),
    threads: createThreads(calls),
    sources: createSources(calls),
    rules: createRules(calls),
    invitations: createInvitations(calls),
    conversations: createConversations(calls),
  }
  const load = createLoaders(resources, options)
  const { known } = options
  let capabilities: Promise<ReadonlySet<Capability>> | undefined

  async function readOnce(): Promise<ReadonlySet<Capability>> {
    const readAt = known?.now() ?? 0
    const read = await readCapabilities(calls)
    known?.keep(read, readAt)
    return read
  }

  function readAll(): Promise<ReadonlySet<Capability>> {
    capabilities ??= readOnce()
    return capabilities
  }

  return {
    ...resources,
    address: (...path) => buildUrl(publicBase, path, {}).href,
    load,
    capabilities: readAll,
    can: async (capability) => known?.has(capability) === true || (await readAll()).has(capability),
  }
}
