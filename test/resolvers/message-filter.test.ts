import { describe, expect, test } from 'vitest'
import { messageMatcher } from '../../src/resolvers/message-filter.ts'
import type { Message } from '../../src/upstream/flowdock/model.ts'

const message = {
  kind: 'ChatMessage',
  content: 'Deploy of word1, done',
  tags: ['release'],
} as unknown as Message
const repeated = (length: number, name: string) => Array.from({ length }, (_, index) => `${name}${index}`)

describe('a live filter', () => {
  test('matches whole words and tags', () => {
    expect(messageMatcher({ tagMode: 'all', text: 'DEPLOY word1' })(message)).toBe(true)
    expect(messageMatcher({ tagMode: 'all', text: 'deploy word' })(message)).toBe(false)
    expect(messageMatcher({ tagMode: 'any', tags: ['#Release', 'x'] })(message)).toBe(true)
  })

  test('has 20 words and 50 tags at most', () => {
    const text = (length: number) => repeated(length, 'word').join(' ')
    expect(messageMatcher({ tagMode: 'all', text: text(20) })(message)).toBe(false)
    expect(() => messageMatcher({ tagMode: 'all', text: text(21) })).toThrow(
      'Expected filter.text to have at most 20 words, got 21',
    )
    expect(messageMatcher({ tagMode: 'any', tags: repeated(50, 'tag') })(message)).toBe(false)
    expect(() => messageMatcher({ tagMode: 'any', tags: repeated(51, 'tag') })).toThrow(
      'Expected filter.tags to have at most 50 tags, got 51',
    )
  })
})
