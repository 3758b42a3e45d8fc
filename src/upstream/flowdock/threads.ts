import { decodeThread } from './decode.ts'
import { decodePage, type Page } from './lists.ts'
import type { Thread, ThreadState } from './model.ts'
import type { FlowdockCalls } from './request.ts'

/** Threads by the time of their last update, in milliseconds, both ends exclusive. */
export interface ThreadPage {
  readonly since?: number | undefined
  readonly until?: number | undefined
  /** Only threads after this position. An upstream without this parameter ignores it. */
  readonly after?: { readonly updatedAt: number; readonly id: string } | undefined
  readonly application?: string | undefined
  readonly includeEmpty?: boolean | undefined
  /** 1 to 100. */
  readonly limit: number
}

export interface Threads {
  /** The most recently updated first. */
  list(flowPath: string, page: ThreadPage): Promise<Page<Thread>>
  find(flowPath: string, id: string): Promise<Thread | null>
  /** Creates a thread without a message. Only some upstreams support this. */
  create(flowPath: string, state: ThreadState): Promise<Thread>
  /** Runs an action by its URL in the thread. */
  runAction(url: string): Promise<void>
}

/** [flowdock] threads.md */
export function createThreads(calls: FlowdockCalls): Threads {
  return {
    async list(flowPath, page) {
      const json = await calls.get(['flows', ...flowPath.split('/'), 'threads'], {
        query: {
          since: toIso(page.since),
          until: toIso(page.until),
          after: page.after && `${page.after.updatedAt},${page.after.id}`,
          application: page.application,
          empty: page.includeEmpty ? 1 : undefined,
          limit: page.limit,
        },
        doing: `list the threads of "${flowPath}"`,
      })
      return decodePage(json, decodeThread, calls.onUnreadable)
    },
    async find(flowPath, id) {
      const json = await calls.find(['flows', ...flowPath.split('/'), 'threads', id], {
        doing: `read thread ${id}`,
      })
      return json === null ? null : decodeThread(json)
    },
    async create(flowPath, state) {
      const json = await calls.post(['flows', ...flowPath.split('/'), 'threads'], {
        body: encodeThreadState(state),
        doing: `begin a thread in "${flowPath}"`,
      })
      return decodeThread(json)
    },
    async runAction(url) {
      await calls.postTo(url, { body: {}, doing: 'run an action' })
    },
  }
}

/** [ecma] 21.4.1.1: the last millisecond of `Date` */
const lastMs = 8.64e15

function toIso(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(Math.min(ms, lastMs)).toISOString()
}

/** The state of a thread as it is posted. [flowdock] threads.md, thread-actions.md */
export function encodeThreadState({ title, body, externalUrl, status, fields, actions }: ThreadState) {
  return {
    title,
    body,
    external_url: externalUrl,
    status,
    fields,
    actions: actions?.map((action) =>
      action.kind === 'ViewAction'
        ? {
            '@type': 'ViewAction',
            name: action.name,
            url: action.url,
            description: action.description ?? undefined,
            image: action.imageUrl ?? undefined,
          }
        : {
            '@type': 'UpdateAction',
            name: action.name,
            target: { '@type': 'EntryPoint', ...action.target },
          },
    ),
  }
}
