import { expect, onTestFinished, test } from 'vitest'
import type { Page } from '../../src/upstream/flowdock/lists.ts'
import { MessagePages } from '../../src/upstream/flowdock/message-pages.ts'
import type { Message } from '../../src/upstream/flowdock/model.ts'

function start(maxBytes?: number) {
  const state = { now: 0 }
  const pages = new MessagePages({ now: () => state.now, ...(maxBytes === undefined ? {} : { maxBytes }) })
  onTestFinished(() => pages.close())
  return { pages, state }
}

const pageOf = (id: number): Page<Message> => ({ items: [{ id } as Message], sent: 1 })

test('a page is found with its version for ten seconds after its read began, however often it was confirmed', () => {
  const { pages, state } = start()
  const page = pageOf(1)
  pages.keep('a', { page, version: 'log:1:5' }, 0)
  const held = pages.find('a')
  expect(held).toEqual({ page, version: 'log:1:5' })
  state.now = 10_000
  if (held !== undefined) pages.confirm('a', held, 'log:1:9')
  expect(pages.find('a')).toEqual({ page, version: 'log:1:9' })
  state.now = 10_001
  expect(pages.find('a')).toBeUndefined()
  expect(pages.size).toBe(0)
})

test('what was said of an earlier page is not said of the one that replaced it', () => {
  const { pages } = start()
  pages.keep('a', { page: pageOf(1), version: 'log:1:5' }, 0)
  const held = pages.find('a')
  pages.keep('a', { page: pageOf(2), version: 'log:1:7' }, 0)
  if (held !== undefined) pages.confirm('a', held, 'log:1:6')
  expect(pages.find('a')?.version).toBe('log:1:7')
})

test('the least recently used pages are dropped when all together are too long', () => {
  const { pages } = start(1000)
  for (const key of ['a', 'b']) pages.keep(key, { page: pageOf(1), version: '' }, 0, 400)
  pages.find('a')
  pages.keep('c', { page: pageOf(1), version: '' }, 0, 400)
  expect(['a', 'b', 'c'].filter((key) => pages.find(key) !== undefined)).toEqual(['a', 'c'])
  pages.keep('d', { page: pageOf(1), version: '' }, 0, 1001)
  expect(pages.find('d')).toBeUndefined()
})
