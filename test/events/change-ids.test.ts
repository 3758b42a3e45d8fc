import { expect, test } from 'vitest'
import { createChangeIds } from '../../src/events/change-ids.ts'

function start() {
  const changed: string[] = []
  return { changed, ids: createChangeIds((principal) => changed.push(principal)) }
}

test('a change is announced once for its principal, wherever it was made but here', () => {
  const [here, there] = [start(), start()]
  const id = here.ids.make('ada')
  here.ids.receive('ada', id)
  expect(here.changed).toEqual([])
  there.ids.receive('ada', id)
  there.ids.receive('ada', id)
  expect(there.changed).toEqual(['ada'])
  there.ids.receive('ben', id)
  expect(there.changed).toEqual(['ada', 'ben'])
})

test('each change has an id of its own', () => {
  const { ids } = start()
  expect(ids.make('ada')).not.toBe(ids.make('ada'))
})

test('the newest 16 of a principal are remembered, and an older one is announced again', () => {
  const { ids, changed } = start()
  const made = Array.from({ length: 17 }, () => ids.make('ada'))
  for (const id of made.slice(1)) ids.receive('ada', id)
  expect(changed).toEqual([])
  ids.receive('ada', made[0] ?? '')
  expect(changed).toEqual(['ada'])
})
