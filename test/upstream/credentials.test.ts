import { describe, expect, test } from 'vitest'
import { createCredentialReader, parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'

const read = (authorization: string) => {
  const credential = parseAuthorization(authorization)
  if (credential === null) throw new Error('There is no credential')
  return { sent: credential.authorization.reveal(), principal: credential.principal }
}
const basic = (text: string) => `Basic ${btoa(text)}`

describe('a principal is the token itself', () => {
  const token = '0123456789abcdef'.repeat(2)
  const { sent, principal } = read(basic(`${token}:`))

  test.each([
    basic(token),
    basic(`${token}:x`),
    basic(`${token}::`),
    basic(`${token}:${'1'.repeat(100)}`),
    `basic   ${btoa(`${token}:`)}`,
    `BASIC ${btoa(`${token}:`).replace(/=+$/, '')}`,
  ])('%s is the same, and is sent in one spelling', (authorization) => {
    expect(read(authorization)).toEqual({ sent, principal })
  })

  test.each([`Bearer ${token}`, `bearer      ${token}`, `BEARER ${token}`])(
    '%s is the same, and is sent as the kind of token it is',
    (authorization) => {
      expect(read(authorization)).toEqual({ sent: `Bearer ${token}`, principal })
    },
  )

  test('and other tokens are others', () => {
    const others = [
      basic(`${token}0:`),
      `Bearer ${token.toUpperCase()}`,
      `Bearer ${token}:`,
      basic('ada@example.com:x'),
    ]
    const principals = others.map((authorization) => read(authorization).principal)
    expect(new Set([principal, ...principals]).size).toBe(5)
    // Only the text of a token counts, and never what stands for somebody else.
    expect(read(`Bearer password:ada@example.com:x`).principal).not.toBe(
      read(basic('ada@example.com:x')).principal,
    )
  })
})

test('of an e-mail address it is address and password together', () => {
  const { principal, sent } = read(basic('ada@example.com:pass:word'))
  expect(sent).toBe(basic('ada@example.com:pass:word'))
  expect(read(basic('Ada@EXAMPLE.com:pass:word')).principal).toBe(principal)
  for (const other of [
    'ada@example.com:Pass:word',
    'ben@example.com:pass:word',
    'ada@example.com:pass:word ',
  ])
    expect(read(basic(other)).principal).not.toBe(principal)
  // Passwords keep their bytes, whatever their encoding.
  const utf8 = `Basic ${Buffer.from('ada@example.com:pässwörd').toString('base64')}`
  expect(read(utf8).sent).toBe(utf8)
})

test.each([
  'Basic',
  'Basic ',
  'Basic :',
  basic(''),
  basic(':'),
  basic(':password'),
  'Basic %%%',
  'Digest x',
  'x',
  'Bearer a b',
])('%s is none', (authorization) => {
  expect(() => parseAuthorization(authorization)).toThrow('Expected Authorization to be "Basic')
})

test('each header is parsed once while it is in use', () => {
  const readCredential = createCredentialReader()
  expect(readCredential('Bearer x')).toBe(readCredential('Bearer x'))
  expect(readCredential(undefined)).toBeNull()
  expect(readCredential('')).toBeNull()
  for (const value of [1, {}, ['Bearer x'], 'nonsense'])
    expect(() => readCredential(value)).toThrow('Expected')
})
