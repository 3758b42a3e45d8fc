import { beforeEach, describe, expect, test } from 'vitest'
import { accessOf, type HeldAccess } from '../../src/events/entitlement.ts'
import { Audits } from '../../src/live/audits.ts'
import type { AuditClaim } from '../../src/upstream/flowdock/entitlements.ts'

describe('audits of what principals may receive', () => {
  let held: Map<string, HeldAccess>
  let pages: (readonly AuditClaim[])[]
  let wrong: string[]
  let compare: (claims: readonly AuditClaim[]) => Promise<readonly string[]>
  let audits: Audits

  const hold = (count: number) => {
    for (let user = 1; user <= count; user += 1)
      held.set(
        `key ${user}`,
        accessOf({ user, grant: `grant ${user}`, flows: ['f', 'g'], receivesFlows: true, isPrivate: true }),
      )
  }
  const keysOf = (page: readonly AuditClaim[] | undefined) => page?.map(({ key }) => key)

  beforeEach(() => {
    held = new Map()
    pages = []
    wrong = []
    compare = async () => []
    audits = new Audits({
      held: () => Array.from(held, ([key, access]) => ({ key, access })),
      accessOf: (key) => held.get(key),
      compare: (claims) => {
        pages.push(claims)
        return compare(claims)
      },
      onWrong: (key) => wrong.push(key),
    })
  })

  test('claim the user, the grant and the flows of each, and report those that are wrong', async () => {
    hold(2)
    compare = async () => ['key 2']
    await audits.tick(0)
    expect(pages).toEqual([
      [
        { key: 'key 1', user: 1, grant: 'grant 1', flows: ['f', 'g'] },
        { key: 'key 2', user: 2, grant: 'grant 2', flows: ['f', 'g'] },
      ],
    ])
    expect(wrong).toEqual(['key 2'])
  })

  test('read each principal once in a round, a thousand at a time, and begin the next round after eight seconds', async () => {
    hold(2500)
    for (const now of [0, 1000, 2000, 3000, 7999]) await audits.tick(now)
    expect(pages.map(({ length }) => length)).toEqual([1000, 1000, 500])
    expect(pages.flatMap(keysOf)).toEqual([...held.keys()])
    await audits.tick(8000)
    expect(keysOf(pages[3])).toEqual([...held.keys()].slice(0, 1000))
  })

  test('begin the next round at once after one that took longer than eight seconds', async () => {
    hold(1001)
    await audits.tick(0)
    await audits.tick(9000)
    await audits.tick(10_000)
    expect(pages.map(({ length }) => length)).toEqual([1000, 1, 1000])
  })

  test('leave out who is not held any more, and take who came in the next round', async () => {
    hold(1500)
    await audits.tick(0)
    held.delete('key 1200')
    held.set('late', held.get('key 1') as HeldAccess)
    await audits.tick(1000)
    expect(keysOf(pages[1])).toHaveLength(499)
    expect(keysOf(pages[1])).not.toContain('key 1200')
    await audits.tick(8000)
    await audits.tick(9000)
    expect(keysOf(pages[3])).toContain('late')
  })

  test('ask nothing while the last question has no answer, or nobody is held', async () => {
    await audits.tick(0)
    expect(pages).toEqual([])
    hold(1500)
    const answer = Promise.withResolvers<readonly string[]>()
    compare = () => answer.promise
    const first = audits.tick(8000)
    await audits.tick(9000)
    expect(pages).toHaveLength(1)
    answer.resolve([])
    await first
    await audits.tick(10_000)
    expect(keysOf(pages[1])).toEqual([...held.keys()].slice(1000))
  })

  test('go on after an upstream that did not answer, with the next page', async () => {
    hold(1500)
    compare = () => Promise.reject(new Error('unreachable'))
    await audits.tick(0)
    compare = async () => ['key 1400']
    await audits.tick(1000)
    expect(wrong).toEqual(['key 1400'])
  })
})
