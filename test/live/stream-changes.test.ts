import { expect, test } from 'vitest'
import { accessOf, type HeldAccess } from '../../src/events/entitlement.ts'
import type { Listener } from '../../src/live/live-hub.ts'
import { StreamChanges } from '../../src/live/stream-changes.ts'

const access = (...flows: string[]): HeldAccess =>
  accessOf({ user: 1, grant: '', receivesFlows: true, isPrivate: true, flows })
const ada = { credential: { principal: 'ada' } } as Listener

function start() {
  const held = new Map<string, HeldAccess | undefined>([['ada', access('a', 'b')]])
  const used: string[] = []
  const changed: string[] = []
  const changes = new StreamChanges({
    accessOf: (principal) => held.get(principal),
    use: ({ credential }) => void used.push(credential.principal),
    onChange: (principal) => void changed.push(principal),
  })
  return { changes, held, used, changed }
}

test('the version of a principal changes with what is sent to one of its audiences, and with nothing else', () => {
  const { changes, changed } = start()
  const first = changes.versionOf(ada)
  expect(changes.versionOf(ada)).toBe(first)
  changes.note(['f:c'], 1)
  changes.note(['u:2'], 2)
  expect(changes.versionOf(ada)).toBe(first)
  const versions = new Set([first])
  for (const [index, audience] of (['f:a', 'u:1', 'p:b', 'f:b'] as const).entries()) {
    changes.note([audience], 3 + index)
    changed.length = 0
    versions.add(changes.versionOf(ada))
    // What is being read may be of before, so it is joined by nobody.
    expect(changed).toEqual(['ada'])
  }
  changes.note('all', 9)
  versions.add(changes.versionOf(ada))
  expect(versions.size).toBe(6)
})

test('a principal that loses a flow does not get a version that it had before', () => {
  const { changes, held } = start()
  changes.note(['f:b'], 1)
  const before = changes.versionOf(ada)
  changes.note(['f:a'], 2)
  const between = changes.versionOf(ada)
  held.set('ada', access('b'))
  const after = changes.versionOf(ada)
  expect(new Set([before, between, after]).size).toBe(3)
})

test('what a principal changed itself gives it another version at once', () => {
  const { changes } = start()
  const before = changes.versionOf(ada)
  changes.changed('ada')
  expect(changes.versionOf(ada)).not.toBe(before)
})

test('a principal has no version while its access is not known, and is proved when it asks again', () => {
  const { changes, held, used } = start()
  held.set('ada', undefined)
  expect(changes.versionOf(ada)).toBeUndefined()
  expect(used).toEqual([])
  expect(changes.versionOf(ada)).toBeUndefined()
  expect(used).toEqual(['ada'])
  held.set('ada', access('a'))
  const before = changes.versionOf(ada)
  expect(before).toBeDefined()
  changes.forget()
  expect(changes.versionOf(ada)).not.toBe(before)
})
