import type { Context } from '../context.ts'
import { maxPageSize, type PageArgs, pageSize } from './pagination.ts'

/** The arguments of a list of messages below a flow. */
export interface MessageListArgs extends PageArgs {
  readonly filter?: unknown
}

/** A selected list of messages. */
export interface SelectedMessages {
  readonly args: MessageListArgs
  /** Whether it selects a field at a path below it. */
  selects(...path: string[]): boolean
}

/**
 * Requests the messages of a flow together with the flow. Pages after a cursor wait for the flow, because the cursor has to
 * belong to it.
 *
 * @param path the path of the flow
 * @param lists each selected list
 */
export function expectMessages(
  path: string,
  lists: readonly SelectedMessages[],
  { flowdock }: Context,
): void {
  for (const { args, selects } of lists) {
    if (args.filter != null || args.after != null || args.before != null) continue
    try {
      const { from, limit } = messagePage(args)
      const page = { after: undefined, before: undefined, limit }
      const hasAuthors = () => selects('nodes', 'author') || selects('edges', 'node', 'author')
      flowdock.load.expectMessages(
        path,
        { ...page, from: from === 'front' ? 'oldest' : 'newest' },
        hasAuthors,
      )
    } catch {
      // The resolver of the list reports invalid arguments.
    }
  }
}

/** Reads one message more than requested, up to the limit of the upstream: it shows whether another page follows. */
export function messagePage(args: PageArgs) {
  const { from, size } = pageSize(args, { from: 'back', size: 30 })
  return { from, size, limit: Math.min(size + 1, maxPageSize) }
}
