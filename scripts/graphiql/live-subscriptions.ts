import { createLiveClient, type LiveClient, type LiveEvent, type LiveResult } from '../../src/client/index.ts'
import { type LiveLog, summarize } from './live-log.ts'

export interface Operation {
  readonly query: string
  readonly operationName?: string | null | undefined
  readonly variables?: Readonly<Record<string, unknown>> | undefined
}

export interface RunningSubscription {
  readonly id: number
  readonly name: string
  /** How many events came. */
  readonly count: number
  stop(): void
  /** Resolves once it is over, with the error that ended it; with undefined when it was stopped. */
  readonly ended: Promise<{ readonly message: string; readonly code: string | undefined } | undefined>
}

/** The account and token of flowthings, by the names of their headers. */
export type ThingsHeaders = Readonly<Record<string, string>>

export interface SubscriptionsState {
  readonly running: readonly RunningSubscription[]
  /** Idle while nothing runs. */
  readonly connection: 'idle' | 'connecting' | 'connected' | 'reconnecting'
}

export interface LiveSubscriptions {
  get(): SubscriptionsState
  subscribe(listener: () => void): () => void
  /** Starts a subscription. One that runs already, with the same variables and credential, is that one. */
  start(operation: Operation, authorization: string, thingsHeaders?: ThingsHeaders): RunningSubscription
}

interface Connection {
  readonly client: LiveClient
  status: 'connecting' | 'connected' | 'not connected'
  /** It was cut while subscriptions used it, and is not back yet. */
  isCut: boolean
}

interface Subscription extends RunningSubscription {
  readonly key: string
  readonly connection: Connection
  /** Where it resumes; undefined when it selects no cursor. */
  cursor: string | undefined
}

/**
 * Subscriptions that run until they are stopped, whatever tab is open. A client for each credential resumes them after a
 * cut behind the last event whose `cursor` they selected.
 */
export function createLiveSubscriptions(url: string, log: LiveLog): LiveSubscriptions {
  const listeners = new Set<() => void>()
  const connections = new Map<string, Connection>()
  let running: readonly Subscription[] = []
  let state: SubscriptionsState = { running, connection: 'idle' }
  let nextId = 1

  function changed(): void {
    const used = running.map(({ connection }) => connection)
    const open = used.every(({ status }) => status === 'connected') ? 'connected' : 'connecting'
    const connection = used.some(({ isCut }) => isCut) ? 'reconnecting' : open
    state = { running, connection: used.length === 0 ? 'idle' : connection }
    for (const listener of listeners) listener()
  }

  function note(summary: string): void {
    log.add({ kind: 'note', subscription: undefined, summary, result: undefined })
  }

  function openConnection(authorization: string, thingsHeaders: ThingsHeaders): Connection {
    const credentials = JSON.stringify([authorization, thingsHeaders])
    const known = connections.get(credentials)
    if (known !== undefined) return known
    const connection: Connection = {
      client: createLiveClient({
        ...{ url, token: authorization, connectionParams: thingsHeaders },
        onStatus(status) {
          const users = running.filter((subscription) => subscription.connection === connection)
          if (status === 'not connected' && connection.status === 'connected' && users.length > 0) {
            connection.isCut = true
            note('Connection lost. It is opened again.')
          }
          if (status === 'connected' && connection.isCut) {
            connection.isCut = false
            note(describeReturn(users))
          }
          connection.status = status
          changed()
        },
      }),
      status: 'not connected',
      isCut: false,
    }
    connections.set(credentials, connection)
    return connection
  }

  async function follow(
    subscription: { readonly id: number; readonly name: string },
    results: AsyncGenerator<LiveResult<LiveEvent>>,
  ): Promise<Awaited<RunningSubscription['ended']>> {
    const { id, name } = subscription
    try {
      for await (const { data, errors } of results) {
        const [event] = Object.values(data ?? {})
        const isGap = /^(Drop)?Gap$/.test(event?.__typename ?? '')
        const problems = (errors ?? []).map(({ message }) => message)
        log.add({
          kind: problems.length > 0 ? 'error' : isGap ? 'gap' : 'event',
          subscription: name,
          summary: [event?.__typename, summarize(event), ...problems].filter(Boolean).join(' · '),
          result: { data, ...(problems.length > 0 ? { errors } : {}) },
        })
        running = running.map((each) =>
          each.id === id ? { ...each, count: each.count + 1, cursor: event?.cursor || each.cursor } : each,
        )
        changed()
      }
      note(`${name} was stopped.`)
      return undefined
    } catch (error) {
      const { message, code } = error as { message: string; code?: string }
      const result = { errors: [{ message, ...(code === undefined ? {} : { extensions: { code } }) }] }
      log.add({ kind: 'error', subscription: name, summary: message, result })
      return { message, code }
    } finally {
      running = running.filter((each) => each.id !== id)
      changed()
    }
  }

  return {
    get: () => state,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    start({ query, operationName, variables }, authorization, thingsHeaders = {}) {
      const key = JSON.stringify([query, operationName, variables, authorization, thingsHeaders])
      const known = running.find((subscription) => subscription.key === key)
      if (known !== undefined) return known
      const connection = openConnection(authorization, thingsHeaders)
      const id = nextId
      nextId += 1
      const name = operationName ?? 'Subscription'
      const results = connection.client.results<LiveEvent>({
        query,
        ...(operationName == null ? {} : { operationName }),
        ...(variables === undefined ? {} : { variables }),
      })
      note(`${name} was started.`)
      const subscription: Subscription = {
        ...{ id, key, name, connection, count: 0, cursor: undefined },
        stop: () => void results.return(),
        ended: follow({ id, name }, results),
      }
      running = [...running, subscription]
      changed()
      return subscription
    },
  }
}

function describeReturn(subscriptions: readonly Subscription[]): string {
  const unable = subscriptions.filter(({ cursor }) => cursor === undefined).map(({ name }) => name)
  return unable.length === 0
    ? 'Connected again. What happened meanwhile follows.'
    : `Connected again. What happened meanwhile is missing in ${unable.join(', ')}: no event with its "cursor" came before.`
}
