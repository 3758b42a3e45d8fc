import { expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import { search } from '../../src/resolvers/message-search.ts'
import { encodeCursor } from '../../src/resolvers/pagination.ts'
import type { Message } from '../../src/upstream/flowdock/model.ts'

/** An upstream with so many matches. @param leavesOut whether it sends the needed ones only */
function upstream(matches: number, leavesOut: boolean) {
  const found = Array.from({ length: Math.min(matches, 100) }, (_, id) => ({ id }) as Message)
  const lengths: number[] = []
  const flowdock = {
    can: async () => true,
    messages: {
      async search(_: unknown, newest: number) {
        const items = leavesOut ? found.slice(-newest) : found
        lengths.push(items.length)
        return { items, sent: found.length }
      },
    },
  }
  return { context: { flowdock } as unknown as Context, lengths }
}

const positions = [null, 0, 1, 4, 5, 6, 50, 98, 99]
const sizes = [1, 5, 30, 100]

test('a page has the same matches and neighbours, whether the upstream sends all matches or the needed ones', async () => {
  const pages = [0, 1, 4, 5, 6, 7, 30, 99, 100, 150].flatMap((matches) =>
    positions.flatMap((before) =>
      positions.flatMap((after) =>
        sizes.flatMap((size) => [
          { matches, before, after, first: size },
          { matches, before, after, last: size },
        ]),
      ),
    ),
  )
  const cursor = (position: number | null) =>
    position === null ? null : encodeCursor('search result', String(position))
  for (const { matches, before, after, ...size } of pages) {
    const args = { text: 'x', tagMode: 'all', ...size, before: cursor(before), after: cursor(after) } as const
    const [whole, needed] = await Promise.all(
      [false, true].map(async (leavesOut) => {
        const page = await search(undefined, args, upstream(matches, leavesOut).context)
        const { edges, pageInfo, isExhaustive } = page
        const { hasNextPage, hasPreviousPage, startCursor, endCursor } = pageInfo
        return {
          edges: edges.map(({ node, cursor }) => [node.id, cursor]),
          ...{ hasNextPage, hasPreviousPage, startCursor, endCursor, isExhaustive },
        }
      }),
    )
    expect(needed, JSON.stringify({ matches, before, after, ...size })).toEqual(whole)
  }
})

test('the newest page needs one match more than it has, and the oldest needs all', async () => {
  const lengthFor = async (args: object) => {
    const { context, lengths } = upstream(150, true)
    await search(undefined, { text: 'x', tagMode: 'all', ...args }, context)
    return lengths[0]
  }
  expect(await lengthFor({ last: 20 })).toBe(21)
  expect(await lengthFor({})).toBe(31)
  expect(await lengthFor({ last: 20, before: encodeCursor('search result', '19') })).toBe(41)
  expect(await lengthFor({ first: 20 })).toBe(100)
  expect(await lengthFor({ first: 20, after: encodeCursor('search result', '19') })).toBe(20)
})
