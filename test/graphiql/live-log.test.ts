import { expect, test } from 'vitest'
import { createLiveLog, logText, summarize } from '../../scripts/graphiql/live-log.ts'

function makeLog(limit: number) {
  const log = createLiveLog(limit, () => new Date(0))
  const add = (summary: string) =>
    log.add({ kind: 'event', subscription: 'Live', summary, result: { data: summary } })
  const summaries = () => log.get().entries.map((entry) => entry.summary)
  return { log, add, summaries }
}

test('the log has its newest entries, oldest first, and says how many it dropped', () => {
  const { log, add, summaries } = makeLog(3)
  for (const summary of ['a', 'b', 'c', 'd', 'e']) add(summary)
  expect(summaries()).toEqual(['c', 'd', 'e'])
  expect(log.get().dropped).toBe(2)
})

test('a pause holds entries back until it is over, and no more than the log has room for', () => {
  const { log, add, summaries } = makeLog(3)
  add('a')
  log.pause()
  for (const summary of ['b', 'c']) add(summary)
  expect(summaries()).toEqual(['a'])
  expect(log.get()).toMatchObject({ isPaused: true, waiting: 2, dropped: 0 })
  for (const summary of ['d', 'e']) add(summary)
  expect(log.get()).toMatchObject({ waiting: 3, dropped: 1 })
  log.resume()
  expect(summaries()).toEqual(['c', 'd', 'e'])
  expect(log.get()).toMatchObject({ isPaused: false, waiting: 0, dropped: 2 })
})

test('a cleared log is empty, also of what a pause held back, and goes on', () => {
  const { log, add, summaries } = makeLog(3)
  add('a')
  log.pause()
  add('b')
  log.clear()
  expect(log.get()).toMatchObject({ entries: [], dropped: 0, isPaused: true, waiting: 0 })
  log.resume()
  add('c')
  expect(summaries()).toEqual(['c'])
})

test('listeners are called for each change until they are removed', () => {
  const { log, add } = makeLog(3)
  let heard = 0
  const leave = log.subscribe(() => {
    heard += 1
  })
  add('a')
  log.pause()
  leave()
  add('b')
  expect(heard).toBe(2)
})

test('a copy is a line of JSON for each entry', () => {
  const { log, add } = makeLog(3)
  add('a')
  log.add({ kind: 'note', subscription: undefined, summary: 'Live was stopped.', result: undefined })
  expect(logText(log.get().entries)).toBe(
    '{"at":"1970-01-01T00:00:00.000Z","subscription":"Live","result":{"data":"a"}}\n' +
      '{"at":"1970-01-01T00:00:00.000Z","note":"Live was stopped."}',
  )
})

test('a summary is the words of an event, without ids, cursors and times', () => {
  const event = {
    ...{ __typename: 'MessageAdded', cursor: '1~2', occurredAt: '2026-01-01T00:00:00Z', flow: null },
    message: { id: 'TQ', author: { name: 'Ada', avatarUrl: 'https://x.example' }, content: ' Hello\nthere ' },
    tags: ['a', 'b'],
    count: 3,
  }
  expect(summarize(event)).toBe('Ada · Hello there · a · b · 3')
  expect(summarize({ content: 'x'.repeat(500) })).toBe(`${'x'.repeat(159)}…`)
  expect(summarize(undefined)).toBe('')
})
