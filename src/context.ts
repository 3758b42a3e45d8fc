import type { IncomingMessage } from 'node:http'
import { GatewayError } from './errors.ts'
import type { Hub } from './events/hub.ts'
import { resume } from './events/resume.ts'
import type { Allowances, RateLimit } from './upstream/flowdock/allowance.ts'
import { type Credential, parseAuthorization } from './upstream/flowdock/credentials.ts'
import type { FileDownloads } from './upstream/flowdock/files.ts'
import { createFlowdock, type Flowdock } from './upstream/flowdock/index.ts'
import type { Upload } from './upstream/flowdock/messages.ts'
import type { FlowEvent } from './upstream/flowdock/model.ts'
import type { FileUploads } from './upstream/flowdock/uploads.ts'
import type { Http } from './upstream/http.ts'

/** What one principal listens to. */
export interface LiveTopic {
  readonly credential: Credential
  readonly flowIds: readonly string[]
  /** Whether what is told to the principal alone is heard, too. */
  readonly isPrivate: boolean
}

/** What a resolver is given. */
export interface Context {
  /** Flowdock as the caller sees it; remembers what this operation has read. */
  readonly flowdock: Flowdock
  /** How many calls to the upstream the operation has made so far. */
  callCount(): number
  /** Whether the caller wants to know what the operation cost. */
  readonly wantsCost: boolean
  /** What the caller may still ask of the upstream; null for one without a credential, or without a limit. */
  rateLimit(): RateLimit | null
  /** Whether the caller sent a credential. */
  readonly isSignedIn: boolean
  /** Listens to flows with the caller's credential. @param after an event's cursor: what happened since comes first */
  listen(
    flowIds: readonly string[],
    options: { isPrivate: boolean; after: string | undefined },
  ): Promise<AsyncIterableIterator<FlowEvent>>
  /** The path of this gateway that a file of the upstream can be read at, for a while, without a credential. */
  fileAddress(path: string): string
  /** The path of this gateway that the bytes of one file can be put to, for a while, without a credential. */
  uploadAddress(upload: Upload): { readonly path: string; readonly expiresAt: number }
  /** The same caller with nothing remembered: for each event of a subscription. */
  refresh(): Context
}

/** What a request or a socket says about its caller. */
export interface Caller {
  readonly request: IncomingMessage
  /** The payload of `connection_init`, for sockets. */
  readonly connectionParams?: Readonly<Record<string, unknown>>
  /** Whether it wants to know what the operation costs. */
  readonly wantsCost?: boolean
  /** Ends when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

export interface ContextOptions {
  readonly http: Http
  readonly restUrl: string
  /** The same as people reach it, if that is another. */
  readonly publicBase?: string | undefined
  readonly hub: Hub<LiveTopic, FlowEvent>
  /** Hears a topic from an event on, over a stream of its own. */
  readonly replay: (topic: LiveTopic, after: string) => AsyncIterableIterator<FlowEvent>
  readonly allowances: Allowances
  readonly downloads: FileDownloads
  readonly uploads: FileUploads
}

/** @throws GatewayError `UNAUTHENTICATED` for a credential that cannot be one, when the returned function is called */
export function createContextFactory({
  http,
  restUrl,
  publicBase,
  hub,
  replay,
  allowances,
  downloads,
  uploads,
}: ContextOptions): (caller: Caller) => Context {
  return ({ request, connectionParams, signal, wantsCost = false }) => {
    const params = connectionParams ?? {}
    const credential = parseAuthorization(
      params['authorization'] ?? params['Authorization'] ?? request.headers.authorization,
    )
    const principal = credential?.principal ?? 'nobody'
    const makeCounted = () => {
      let calls = 0
      const onCall = () => {
        allowances.take(principal)
        calls += 1
      }
      const flowdock = createFlowdock({ http, base: restUrl, publicBase, credential, signal, onCall })
      return { flowdock, count: () => calls }
    }
    const make = ({ flowdock, count } = makeCounted()): Context => ({
      isSignedIn: credential !== null,
      flowdock,
      wantsCost,
      callCount: count,
      rateLimit() {
        const limit = credential === null ? null : allowances.of(credential.principal)
        return limit?.limit === 0 ? null : limit
      },
      async listen(flowIds, { isPrivate, after }) {
        if (credential === null)
          throw new GatewayError('UNAUTHENTICATED', 'Cannot listen to flows: no credential was sent')
        const topic = { credential, flowIds: [...new Set(flowIds)].sort(), isPrivate }
        const live = await hub.subscribe(topic, signal)
        if (after === undefined) return live
        return resume({ live, replay: (from) => replay(topic, from), after, placeOf, isGap })
      },
      fileAddress(path) {
        if (credential === null)
          throw new GatewayError(
            'UNAUTHENTICATED',
            'Cannot give the address of a file: no credential was sent',
          )
        return downloads.address(credential, path)
      },
      uploadAddress(upload) {
        if (credential === null)
          throw new GatewayError('UNAUTHENTICATED', 'Cannot make an upload: no credential was sent')
        return uploads.address(credential, upload)
      },
      refresh: () => make(),
    })
    return make()
  }
}

function isGap({ type }: FlowEvent): boolean {
  return type === 'gap'
}

/** Where an event stands in the upstream's log; undefined for what is kept nowhere. */
function placeOf(event: FlowEvent): string | undefined {
  if (event.type === 'gap') return undefined
  const isKept =
    event.type !== 'change' || (event.change.kind !== 'UserTyping' && event.change.kind !== 'UserActive')
  return isKept && event.cursor !== '' ? event.cursor : undefined
}
