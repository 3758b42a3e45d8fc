import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { CachedBody, hashOf } from '../../src/graphql/cached-body.ts'

const text = '{"data":"Thé"}'

test('a cached body has text, bytes in UTF-8, compressed bytes and a hash', async () => {
  const body = new CachedBody(text)
  expect(body.text()).toBe(text)
  expect(body.bytes()).toEqual(Buffer.from(text))
  expect(gunzipSync(await body.compressed()).toString()).toBe(text)
  expect(body.text()).toBe(text)
})

test('each form of a cached body is computed once', () => {
  const body = new CachedBody(text)
  expect(body.bytes()).toBe(body.bytes())
  expect(body.compressed()).toBe(body.compressed())
})

test('the hash is the same for text, its bytes and its cached body, and another for another text', () => {
  expect(new CachedBody(text).hash()).toBe(hashOf(text))
  expect(hashOf(Buffer.from(text))).toBe(hashOf(text))
  expect(hashOf('{"data":1}')).not.toBe(hashOf(text))
})
