import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { privateFileMode } from './private-files.ts'

/** Query strings that let everyone who has one download a file for a minute. */
export interface FileSignatures {
  sign(token: string): string
  /** Whether a query made by `sign` is genuine and not too old. */
  verify(token: string, query: URLSearchParams): boolean
}

/** [flowdock] files.md calls a signed address short-lived. */
const lifetimeMs = 60_000
const keyBytes = 32

/** @param keys the first one signs, all verify: two while one is replaced by another */
export function createFileSignatures(
  keys: readonly Uint8Array[],
  now: () => number = Date.now,
): FileSignatures {
  const signature = (token: string, expires: string, key = keys[0] as Uint8Array) =>
    createHmac('sha256', key).update(`${token} ${expires}`).digest()
  return {
    sign(token) {
      const expires = String(now() + lifetimeMs)
      return new URLSearchParams({
        expires,
        signature: signature(token, expires).toString('base64url'),
      }).toString()
    },
    verify(token, query) {
      const expires = query.get('expires') ?? ''
      const text = query.get('signature') ?? ''
      const given = Buffer.from(text, 'base64url')
      // The decoder accepts several spellings of one signature.
      const isSpeltOnce = given.toString('base64url') === text && query.getAll('signature').length === 1
      if (!isSpeltOnce || query.getAll('expires').length !== 1) return false
      const isGenuine = keys.some((key) => {
        const expected = signature(token, expires, key)
        return given.length === expected.length && timingSafeEqual(given, expected)
      })
      return isGenuine && Number(expires) > now()
    },
  }
}

/** The key of backends that share a secret and no folder. */
export function deriveSigningKey(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', 'flowdock-gateway files', keyBytes))
}

/** Reads the key in a file, which the first process to start creates: whole, or not at all. */
export async function loadSigningKey(path: string): Promise<Buffer> {
  const unfinished = `${path}.${randomBytes(8).toString('hex')}`
  try {
    await writeFile(unfinished, randomBytes(keyBytes), { flag: 'wx', mode: privateFileMode })
    await link(unfinished, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(unfinished, { force: true })
  }
  const key = await readFile(path)
  if (key.length !== keyBytes) throw new Error(`"${path}" is damaged; remove it, and start again`)
  return key
}
