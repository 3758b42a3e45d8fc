import { readFile } from 'node:fs/promises'
import { load } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import { extractHashtags, extractMentions, hasLink, messageTags } from '../../src/backend/flowdock/tags.ts'
import { cpuMs } from '../support/cpu.ts'

interface Case {
  readonly description: string
  readonly text: string
  readonly expected: string[]
}

/** The conformance suite of Flowdock's own parser. */
const suite = load(
  await readFile(
    new URL('../../node_modules/flowdock-text/test/conformance_tests/extract.yml', import.meta.url),
    'utf8',
  ),
) as { tests: Record<'mentions' | 'hashtags' | 'urls' | 'emails', Case[]> }
const { mentions, hashtags, urls, emails } = suite.tests

const members = [
  { id: 1, nick: 'Ada' },
  { id: 2, nick: 'Ben' },
  { id: 3, nick: 'Cleo' },
]

describe('as Flowdock’s own parser', () => {
  test.each(hashtags)('hashtags: $description', ({ text, expected }) => {
    expect(extractHashtags(text)).toEqual(expected)
  })

  test.each(mentions)('mentions: $description', ({ text, expected }) => {
    expect(extractMentions(text).map((name) => `@${name}`)).toEqual(expected)
  })

  test.each(urls)('links: $description', ({ text, expected }) => {
    expect(hasLink(text)).toBe(expected.length > 0)
  })

  test.each(emails.filter(({ expected }) => expected.length > 0))('e-mail: $description', ({ text }) => {
    expect(hasLink(text)).toBe(true)
  })
})

describe('the tags of a message', () => {
  const tags = (text: string, given: string[] = []) => messageTags(given, text, members, 1)

  test.each([
    ['a mention marks the message unread for whom it names', 'hi @ben', [':user:2', ':unread:2']],
    ['one’s own mention does not', 'note to @Ada', [':user:1']],
    [
      'everybody is mentioned by any of five words',
      '@all look',
      [':user:everyone', ':unread:2', ':unread:3'],
    ],
    ['the team is mentioned without marking anything unread', '@team look', [':user:team']],
    ['a nick without "@" is a highlight', 'ask cleo.', [':highlight:3']],
    ['a nick inside a link is none', 'see https://x.example/cleo?by=cleo and cleo.com', [':url']],
    ['a nick beside a link is a highlight', 'https://x.example/ cleo', [':highlight:3', ':url']],
    ['a longer word is no nick', 'cleopatra', []],
    ['nobody is mentioned by an unknown nick', '@nobody', []],
    ['tags keep their order and come once', '#b #a #b http://x.example', ['b', 'a', ':url']],
  ])('%s', (_, text, expected) => {
    expect(tags(text)).toEqual(expected)
  })

  test('given tags stand before those of the text', () => {
    expect(tags('@team #x http://docs.python.org', ['ref'])).toEqual(['ref', 'x', ':user:team', ':url'])
  })

  test('hostile text takes no longer than its length', async () => {
    for (const unit of ['#', '@a.', 'a.', 'http:', 'a@a', '@-', '    ', 'a-', '#a://', 'ada']) {
      const text = unit.repeat(100_000 / unit.length)
      const short = await cpuMs(() => tags(text.slice(0, 10_000)))
      const long = await cpuMs(() => tags(text))
      // Ten times the text may take ten times as long, not a hundred times.
      expect(long, unit).toBeLessThan(40 * Math.max(short, 5))
    }
  })
})
