import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createPersistedDocuments, readTrustedDocuments } from '../../src/graphql/persisted-documents.ts'

const text = '{ viewer { nick } }'
const hashOf = (document: string) => createHash('sha256').update(document).digest('hex')
const byHash = (document: string) => ({ persistedQuery: { version: 1, sha256Hash: hashOf(document) } })
const open = (maxLength = 1000) => createPersistedDocuments({ trusted: undefined, maxLength })

test('a text without a hash is found as it is, and nothing is found without either', () => {
  expect(open().find({ query: text })).toBe(text)
  expect(open().find({})).toBeUndefined()
})

test('a text that comes with its hash is found by the hash from then on', () => {
  const documents = open()
  const code = 'PERSISTED_QUERY_NOT_FOUND'
  expect(() => documents.find({ extensions: byHash(text) })).toThrow(expect.objectContaining({ code }))
  expect(documents.find({ query: text, extensions: byHash(text) })).toBe(text)
  expect(documents.find({ extensions: byHash(text) })).toBe(text)
  expect(documents.find({ documentId: `sha256:${hashOf(text)}` })).toBe(text)
})

test('a text that is longer than a document may be is not stored', () => {
  const documents = open(text.length - 1)
  expect(documents.find({ query: text, extensions: byHash(text) })).toBe(text)
  expect(() => documents.find({ extensions: byHash(text) })).toThrow('PersistedQueryNotFound')
})

test.each<[string, object]>([
  ['the hash of another text', { query: text, extensions: byHash('{ id }') }],
  ['a hash of another version', { extensions: { persistedQuery: { version: 2, sha256Hash: hashOf(text) } } }],
  [
    'a hash in capitals',
    { extensions: { persistedQuery: { version: 1, sha256Hash: hashOf(text).toUpperCase() } } },
  ],
  ['a hash that is null', { extensions: { persistedQuery: null } }],
  ['an id of another scheme', { documentId: `md5:${hashOf(text)}` }],
  ['an id that is a number', { documentId: 1 }],
])('%s is refused', (_, params) => {
  expect(() => open().find(params)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }))
})

test('only trusted documents are executed, and no other is stored', () => {
  const documents = createPersistedDocuments({ trusted: [text], maxLength: 1000 })
  expect(documents.find({ extensions: byHash(text) })).toBe(text)
  expect(() => documents.check(text)).not.toThrow()
  expect(() => documents.check('{ id }')).toThrow(expect.objectContaining({ code: 'FORBIDDEN' }))
  documents.find({ query: '{ id }', extensions: byHash('{ id }') })
  expect(() => documents.find({ extensions: byHash('{ id }') })).toThrow('PersistedQueryNotFound')
})

test('a file of trusted documents has the hash of each text, with or without its scheme', () => {
  expect(
    readTrustedDocuments(JSON.stringify({ [hashOf(text)]: text, [`sha256:${hashOf('{ id }')}`]: '{ id }' })),
  ).toEqual([text, '{ id }'])
  for (const wrong of [
    '[]',
    'null',
    '"x"',
    JSON.stringify({ [hashOf('x')]: text }),
    JSON.stringify({ a: 1 }),
  ])
    expect(() => readTrustedDocuments(wrong)).toThrow(/Expected/)
})
