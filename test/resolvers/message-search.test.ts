import { expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import { search } from '../../src/resolvers/message-search.ts'
import { encodeCursor } from '../../src/resolvers/pagination.ts'
import type { Message } from '../../src/upstream/flowdock/model.ts'

/** An upstream with so many matches. @param leavesOut whether it sends the needed ones only */
function upstream(matches: number, leavesOut: boolean) {
  const lengths: number[] = []
  const limits: number[] = []
  const flowdock = {
    can: async () => true,
    messages: {
      async search({ limit }: { limit: number }, newest: number) {
        const ids = Array.from({ length: Math.min(matches, 100) }, (_, id) => ({ id }) as Message)
        const found = ids.slice(-limit)
        limits.push(limit)
        const items = leavesOut ? found.slice(-newest) : found
        lengths.push(items.length)
        return { items, sent: found.length }
      },
    },
  }
  return { context: { flowdock } as unknown as Context, lengths, limits }
}

const positions = [null, 0, 1, 4, 5, 6, 50, 98, 99]
const sizes = [1, 5, 30, 100]

test('a page has the same matches and neighbours, whether the upstream finds and sends all matches or the needed ones', async () => {
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
    const [whole, needed, found] = await Promise.all(
      [
        { leavesOut: false, needsCount: true },
        { leavesOut: true, needsCount: true },
        { leavesOut: true, needsCount: false },
      ].map(async ({ leavesOut, needsCount }) => {
        const { context } = upstream(matches, leavesOut)
        const page = await search(undefined, args, context, () => needsCount)
        const { edges, pageInfo, isExhaustive } = page
        const { hasNextPage, hasPreviousPage, startCursor, endCursor } = pageInfo
        return {
          edges: edges.map(({ node, cursor }) => [node.id, cursor]),
          ...{ hasNextPage, hasPreviousPage, startCursor, endCursor, isExhaustive },
        }
      }),
    )
    expect(needed, JSON.stringify({ matches, before, after, ...size })).toEqual(whole)
    const { isExhaustive } = whole as { isExhaustive: boolean }
    expect({ ...found, isExhaustive }, JSON.stringify({ matches, before, after, ...size })).toEqual(whole)
  }
})

test('the newest page needs one match more than it has, and the oldest needs all', async () => {
  const lengthFor = async (args: object) => {
    const { context, lengths } = upstream(150, true)
    await search(undefined, { text: 'x', tagMode: 'all', ...args }, context, () => true)
    return lengths[0]
  }
  expect(await lengthFor({ last: 20 })).toBe(21)
  expect(await lengthFor({})).toBe(31)
  expect(await lengthFor({ last: 20, before: encodeCursor('search result', '19') })).toBe(41)
  expect(await lengthFor({ first: 20 })).toBe(100)
  expect(await lengthFor({ first: 20, after: encodeCursor('search result', '19') })).toBe(20)
})

test('the upstream has to find 100 matches only if the response says whether there are more', async () => {
  const limitFor = async (args: object, needsCount: boolean) => {
    const { context, limits } = upstream(150, true)
    await search(undefined, { text: 'x', tagMode: 'all', ...args }, context, () => needsCount)
    return limits[0]
  }
  expect(await limitFor({ last: 20 }, true)).toBe(100)
  expect(await limitFor({ last: 20 }, false)).toBe(31)
  expect(await limitFor({ last: 100 }, false)).toBe(100)
  expect(await limitFor({ first: 20 }, false)).toBe(100)
})

test('when more of the newest matches cannot be read than are spare, the others are found all the same', async () => {
  const flowdock = {
    can: async () => true,
    messages: {
      async search({ limit }: { limit: number }, newest: number) {
        const found = Array.from({ length: 60 }, (_, id) => ({ id }) as Message).slice(-limit)
        return { items: found.filter(({ id }) => id < 30).slice(-newest), sent: found.length }
      },
    },
  }
  const context = { flowdock } as unknown as Context
  const args = { text: 'x', tagMode: 'all', last: 5 } as const
  const { edges, pageInfo } = await search(undefined, args, context, () => false)
  expect(edges.map(({ node }) => node.id)).toEqual([25, 26, 27, 28, 29])
  expect(pageInfo.hasPreviousPage).toBe(true)
})
