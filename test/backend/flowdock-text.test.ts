import { readFile } from 'node:fs/promises'
import { createContext, runInContext } from 'node:vm'
import { expect, test } from 'vitest'
import { extractHashtags, extractMentions, hasLink } from '../../src/backend/flowdock/tags.ts'

/*
 * Our reading of texts beside that of Flowdock's own parser, npm flowdock-text 1.2.0, which is a script for browsers.
 */

interface Parser {
  extractHashtags(text: string): string[]
  extractMentions(text: string): string[]
  extractUrls(text: string): string[]
  extractEmails(text: string): string[]
}

const source = new URL('../../node_modules/flowdock-text/flowdock-text.js', import.meta.url)
const context = createContext({}) as { FlowdockText: Parser }
runInContext(await readFile(source, 'utf8'), context)
const parser = context.FlowdockText

interface Reading {
  readonly hashtags: readonly string[]
  readonly mentions: readonly string[]
  readonly hasLink: boolean
}

const theirs = (text: string): Reading => ({
  hashtags: [...parser.extractHashtags(text)],
  mentions: [...parser.extractMentions(text)].map((name) => name.slice(1)),
  hasLink: parser.extractUrls(text).length + parser.extractEmails(text).length > 0,
})

const ours = (text: string): Reading => ({
  hashtags: extractHashtags(text),
  mentions: extractMentions(text),
  hasLink: hasLink(text),
})

const words = [
  ...[
    'hello',
    'v1.2.3',
    'file.txt',
    'README.md',
    'e.g.',
    'ok:',
    'foo#bar',
    'foo@bar',
    'a://b',
    '&#39;',
    '/#no',
  ],
  ...[
    '#tag',
    '#é',
    '#日本語',
    '#123',
    '#a#b',
    '#a://x',
    '＃full',
    '(#par)',
    '"#quoted"',
    '#release-1.2',
    '#',
  ],
  ...['@Ben', '@J.R', '@user-name.', '@@all', '@http://x', '@', '1️⃣', '#️⃣', '😀', '#😀'],
  ...['a@b.com', 'example.com', 'a.museum', 'b.academy/#c', 'example.com/a#b', 'www.example.org/x?y=#z'],
  ...['http://example.com', 'http://localhost:3000/#x', 'http://10.0.0.1/a/@Ada', 'http://', 'x.notatld/#d'],
  ...[
    'https://wiki.example/Questions_(FAQ)#install',
    'https://app.example/?#users',
    'https://e.example/u=@Ben',
  ],
  ...[
    'https://e.example/a,#t',
    'https://e.example/a,@Ben',
    'https://e.example/a?b=c#d',
    'https://e.example/(a)@Ben',
  ],
  ...[
    'http://x.example/a)#tag',
    'http://x.example/a"#tag',
    '    #quote',
    '\n    @quote #quote',
    '-',
    '_',
    '[',
    '<',
  ],
]
const separators = [' ', ' ', ' ', '\n', ', ', '. ', '! ', ' (', ') ']

/** Numbers that look random and are the same at each run. [spec] Numerical Recipes' linear congruential generator */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    yield state >>> 8
  }
}

test('500 generated texts are read as Flowdock read them', () => {
  const random = numbers(1)
  const pick = (from: readonly string[]) => from[random.next().value % from.length] as string
  for (let count = 0; count < 500; count += 1) {
    const length = 1 + (random.next().value % 6)
    const text = Array.from({ length }, () => pick(words) + pick(separators)).join('')
    expect(ours(text), JSON.stringify(text)).toEqual(theirs(text))
  }
})

test.each([
  [
    'a link to a host without a known domain may stand in parentheses',
    '(see http://intranet)',
    { hasLink: false },
    { hasLink: true },
  ],
  ['a link may stand in quotes', '"https://e.example/a"', { hasLink: false }, { hasLink: true }],
  ['a query may have an "@"', 'https://e.example/?q=@Ben', { mentions: ['Ben'] }, { mentions: [] }],
  ['a path may have any letters', 'http://e.example/да?#users', { hashtags: ['users'] }, { hashtags: [] }],
  ['a "#" behind a letter begins no hashtag anywhere', '@J.R#tag', { hashtags: ['tag'] }, { hashtags: [] }],
  ['a mark is a part of the letter it is on', '#e\u0301', { hashtags: ['e'] }, { hashtags: ['e\u0301'] }],
])('where we read otherwise: %s', (_, text, they, we) => {
  expect(theirs(text)).toMatchObject(they)
  expect(ours(text)).toMatchObject(we)
})
