import { expect, test } from 'vitest'
import { defaultLimits } from '../../src/graphql/document-limits.ts'
import { createDocuments } from '../../src/graphql/documents.ts'
import { schema } from '../../src/schema/index.ts'

test('each new document is charged once, refused ones too, and known ones not at all', () => {
  const documents = createDocuments({ schema, limits: defaultLimits, isOpen: false })
  const charged: number[] = []
  const begin = () => (cpuMs: number) => void charged.push(cpuMs)
  for (let index = 0; index < 3; index += 1) documents.parse('{ viewer { nick } }', begin)
  expect(charged).toHaveLength(1)
  expect(charged[0]).toBeGreaterThan(0)
  documents.parse('{ viewer { nick } } # other', begin)
  expect(charged).toHaveLength(2)
  for (const refused of ['{', `{ viewer { ${'nick '.repeat(300)} } }`]) {
    expect(() => documents.parse(refused, begin)).toThrow()
    expect(() => documents.parse(refused, begin)).toThrow()
  }
  expect(charged).toHaveLength(6)
})

test('a document has at most 2,000 tokens; a syntax error before the limit stays one', () => {
  const documents = createDocuments({ schema, limits: defaultLimits, isOpen: false })
  const parse = (text: string) => documents.parse(text, () => () => undefined)
  const blanks = '# no token\n'.repeat(1000)
  expect(() => parse(`{ ${'a '.repeat(1998)}}${blanks}`)).toThrow('1998 root fields')
  expect(() => parse(`{ ${'a '.repeat(1999)}}`)).toThrow('The document has more than 2000 tokens')
  expect(() => parse(`{ ! ${'a '.repeat(1999)}}`)).toThrow(/Syntax Error/)
})

test('a document is not parsed when there is no time left for it', () => {
  const documents = createDocuments({ schema, limits: defaultLimits, isOpen: false })
  const known = documents.parse('{ viewer { nick } }', () => () => undefined)
  const refuse = () => {
    throw new Error('No time left')
  }
  expect(() => documents.parse('{', refuse)).toThrow('No time left')
  expect(documents.parse('{ viewer { nick } }', refuse)).toBe(known)
})
