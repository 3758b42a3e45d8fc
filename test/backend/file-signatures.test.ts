import { expect, test } from 'vitest'
import { createFileSignatures } from '../../src/backend/file-signatures.ts'

const token = 'ab'.repeat(16)
const base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

test('a signature has one spelling: every other last character and everything added is refused', () => {
  const signatures = createFileSignatures([Buffer.alloc(32, 1)])
  const signed = signatures.sign(token)
  const verify = (query: string) => signatures.verify(token, new URLSearchParams(query))
  expect(verify(signed)).toBe(true)
  const others = [...base64url].map((last) => signed.slice(0, -1) + last).filter((each) => each !== signed)
  const longer = ['=', '.', '!', '%20', '&expires=9999999999999', '&signature=x'].map((more) => signed + more)
  for (const query of [...others, ...longer]) expect(verify(query), query).toBe(false)
})
