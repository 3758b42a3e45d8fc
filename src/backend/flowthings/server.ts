import type { AddressInfo } from 'node:net'
import { createHttp1Server } from '../../net/http1/server.ts'
import type { Background } from '../background.ts'
import type { Bus } from '../bus/bus.ts'
import { boundConnections, type ConnectionLimits, defaultConnections } from '../http/connections.ts'
import type { Traffic } from '../http/traffic.ts'
import type { Store } from '../store/db.ts'
import { createArrivals } from './arrivals.ts'
import { createCallCounter } from './call-counter.ts'
import type { FilterCache } from './filter-cache.ts'
import { createSessions } from './live/sessions.ts'
import { createSockets } from './live/sockets.ts'
import { createRestHandler } from './rest/handler.ts'
import { createScriptJobs } from './script-jobs.ts'
import { styleOfHints } from './style.ts'
import { createTaskRunner, type TaskFigures, type TaskRunnerOptions } from './tasks/runner.ts'
import { createThings, type Things } from './things.ts'
import { createScriptRunner } from './tracks/script-runner.ts'

export interface ThingsServerOptions {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  readonly store: Store
  /** Shared with the rules. */
  readonly filters: FilterCache
  readonly traffic: Traffic
  readonly background: Background
  /** Announces drops to other backends, and theirs here. Without one they are found when they are searched for. */
  readonly bus?: Bus | undefined
  readonly connections?: ConnectionLimits | undefined
  readonly bodyIdleMs?: number | undefined
  /** Runs tasks. By default none runs. */
  readonly tasks?: Pick<TaskRunnerOptions, 'instance' | 'anywhere' | 'beatMs' | 'silentMs'> | undefined
  /** Called after a commit that left jobs for rules. */
  readonly onRuleJobs: () => void
  readonly onError: (error: unknown) => void
  /** Called with what an operator should know. */
  readonly onNotice?: ((message: string) => void) | undefined
  readonly onRequest?: ((request: { method: string; path: string; status: number }) => void) | undefined
}

export interface ThingsServer {
  /** Where it listens, without a trailing slash. */
  readonly url: string
  readonly things: Things
  /** The tasks that it runs; undefined where it runs none. */
  taskFigures(): TaskFigures | undefined
  /** Delivers drops of other processes that were not announced. */
  catchUp(): Promise<void>
  /** Stops: closes sockets, and each connection after the response to its request. Resolves when all are closed. */
  close(): Promise<void>
  /** Closes what is still open. */
  destroy(): void
}

/**
 * Starts the server of the flowthings API on a port of its own.
 *
 * @throws the system's error when the port is taken
 */
export async function startThingsServer(options: ThingsServerOptions): Promise<ThingsServer> {
  const { store, filters, traffic, background, bus, onRuleJobs, onError } = options
  const stopping = new AbortController()
  const arrivals = await createArrivals({
    ...{ store, background, bus, signal: stopping.signal },
    onLost: () => sockets.restart(),
  })
  const runner = createScriptRunner()
  const onScriptJobs = () => scriptJobs.wake()
  const things = createThings({ store, filters, arrivals, onScriptJobs, onRuleJobs })
  const scriptJobs = createScriptJobs({ store, things, filters, runner, background })
  const sessions = createSessions()
  const counter = createCallCounter(store, background)
  const http = createHttp1Server({
    handle: (request) => rest.handle(request),
    refuse: (error) => rest.refuse(error),
    upgrade: (request, after) => sockets.upgrade(request, after),
    onError,
  })
  const connections = boundConnections(http.server, options.connections ?? defaultConnections)
  const sockets = createSockets({
    ...{ things, arrivals, sessions, traffic, connections, background, onError },
    onCall: (principal) => counter.add(principal),
  })
  const rest = createRestHandler({
    ...{ things, traffic, connections, runner, onError },
    openSession: (principal, query) => sessions.open(principal, styleOfHints(query['hints']) ?? 'typed').id,
    onCall: (principal) => counter.add(principal),
    ...(options.onRequest === undefined ? {} : { onRequest: options.onRequest }),
    bodyIdleMs: options.bodyIdleMs ?? 120_000,
  })
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error) => {
      stopping.abort()
      reject(error)
    }
    http.server.once('error', fail)
    http.server.listen(options.port, options.host, () => {
      http.server.off('error', fail)
      resolve()
    })
  })
  const { port } = http.server.address() as AddressInfo
  scriptJobs.wake()
  const taskRunner =
    options.tasks === undefined
      ? undefined
      : createTaskRunner({
          ...{ things, filters, arrivals, traffic, background, ...options.tasks },
          onNotice: options.onNotice ?? (() => undefined),
        })
  taskRunner?.wake()
  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    things,
    taskFigures: () => taskRunner?.figures(),
    catchUp() {
      taskRunner?.wake()
      return arrivals.catchUp()
    },
    async close() {
      await taskRunner?.close()
      stopping.abort()
      sockets.close()
      scriptJobs.close()
      await runner.close()
      await http.close()
      await counter.close()
    },
    destroy() {
      http.destroy()
      sockets.destroy()
    },
  }
}
