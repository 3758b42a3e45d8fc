/** What the tests call, in Node.js and in a browser: plain values go in and come out. */
export interface Driver {
  /** The name of a flow, and the contents of its last messages. */
  read(path: string): Promise<Outcome>
  /** The same as `read` from the cache of the library, null where something is missing there. */
  cached(path: string): Promise<Outcome>
  send(path: string, content: string): Promise<Outcome>
  /** Any query, such as one that is not valid. */
  ask(query: string): Promise<Outcome>
  /** Begins to listen over one of the client's transports. */
  listen(transport: string, path: string): void
  /** What was received until now: contents, `Gap REASON`, and errors. */
  received(): readonly string[]
  stop(): void
}

export type Outcome = { readonly value: unknown } | { readonly error: string }

interface FlowResult {
  readonly name: string
  readonly messages: { readonly nodes: readonly object[] } | null
}

interface SendResult {
  readonly code?: string | null
  readonly message?: string | null
  readonly sentMessage?: object
}

interface EventResult {
  readonly __typename?: string
  readonly message?: { readonly content?: string | null } | null
  readonly reason?: string | null
}

export interface Observer {
  next(event: EventResult | null | undefined): void
  error(error: unknown): void
}

/** One client library, with the code of docs/use-from.md. */
export interface Library {
  read(path: string): Promise<FlowResult | null | undefined>
  cached?(path: string): Promise<FlowResult | null | undefined>
  send(path: string, content: string): Promise<SendResult | null | undefined>
  ask(query: string): Promise<unknown>
  readonly transports: Readonly<Record<string, (path: string, observer: Observer) => () => void>>
  errorCode(error: unknown): unknown
}

export function drive(library: Library): Driver {
  const received: string[] = []
  let stop = () => {}
  const attempt = async (act: () => Promise<unknown>): Promise<Outcome> => {
    try {
      return { value: (await act()) ?? null }
    } catch (error) {
      return { error: describe(error) }
    }
  }
  const describe = (error: unknown) => String(library.errorCode(error) ?? error)
  const summary = (flow: FlowResult | null | undefined) =>
    flow && { name: flow.name, contents: flow.messages?.nodes.map(contentOf) }
  return {
    read: (path) => attempt(async () => summary(await library.read(path))),
    cached: (path) => attempt(async () => summary(await library.cached?.(path))),
    send: (path, content) =>
      attempt(async () => {
        const result = await library.send(path, content)
        return contentOf(result?.sentMessage) ?? `${result?.code}: ${result?.message}`
      }),
    ask: (query) => attempt(() => library.ask(query)),
    listen(transport, path) {
      const begin = library.transports[transport]
      if (begin === undefined) throw new Error(`There is no transport ${transport}`)
      stop = begin(path, {
        next: (event) =>
          received.push(event?.__typename === 'Gap' ? `Gap ${event.reason}` : `${event?.message?.content}`),
        error: (error) => received.push(`error ${describe(error)}`),
      })
    },
    received: () => received,
    stop: () => stop(),
  }
}

/** Messages of some types have it. */
function contentOf(message: { readonly content?: unknown } | undefined): unknown {
  return message?.content
}
