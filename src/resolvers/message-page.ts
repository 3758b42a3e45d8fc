import type { Context } from '../context.ts'
import { maxPageSize, type PageArgs, pageSize } from './pagination.ts'

/** What is said of a list of messages where a flow is asked for. */
export interface MessageListArgs extends PageArgs {
  readonly filter?: unknown
}

/**
 * Asks for the messages that a query wants of a flow before the flow is there. What lies behind a cursor is not: that it
 * is one of this flow is seen by the flow.
 *
 * @param path the flow's
 * @param pages the arguments of each list of them
 */
export function expectMessages(path: string, pages: readonly MessageListArgs[], { flowdock }: Context): void {
  for (const args of pages) {
    if (args.filter != null || args.after != null || args.before != null) continue
    try {
      const { from, limit } = messagePage(args)
      const page = { after: undefined, before: undefined, limit }
      flowdock.load.expectMessages(path, { ...page, from: from === 'front' ? 'oldest' : 'newest' })
    } catch {
      // A page that cannot be is refused where it stands.
    }
  }
}

/** One more than asked for tells whether the list goes on, where the upstream's limit has room for it. */
export function messagePage(args: PageArgs) {
  const { from, size } = pageSize(args, { from: 'back', size: 30 })
  return { from, size, limit: Math.min(size + 1, maxPageSize) }
}
