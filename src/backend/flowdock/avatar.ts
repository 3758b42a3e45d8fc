import { hash } from 'node:crypto'
import { crc32, deflateSync } from 'node:zlib'
import type { UserRow } from '../store/users.ts'

/** The most bytes of a picture that a user sets. */
export const maxAvatarBytes = 128 * 1024

/**
 * The URL of a user's picture. [flowdock] It ends in a slash, and clients append a size in pixels.
 *
 * @param base the URL of the API, without a trailing slash
 */
export function avatarUrl({ id, avatar }: Pick<UserRow, 'id' | 'avatar'>, base: string): string {
  return `${base}/avatars/${avatar ?? generatedKey(id)}/`
}

/** The key of the picture of a user who has set none. */
function generatedKey(userId: number): string {
  return hash('sha256', `avatar of user ${userId}`, 'hex').slice(0, 32)
}

const cells = 5
const minPixels = 16
const maxPixels = 512
const defaultPixels = 128
const background = [0xf0, 0xf2, 0xf5]

/**
 * A picture that is generated from a key: five by five cells, symmetrical, in a color of its own. It is a PNG, because old
 * clients cannot show SVG. It depends on nothing but the key, so it needs no credential.
 *
 * @param key 32 hexadecimal digits
 */
export function generateAvatar(key: string, pixels: number = defaultPixels): Buffer {
  const size = Math.min(Math.max(pixels, minPixels), maxPixels)
  const digits = [...key].map((digit) => Number.parseInt(digit, 16))
  const isSet = (row: number, column: number) =>
    (digits[row * 3 + Math.min(column, cells - 1 - column)] as number) % 2 === 1
  // The margin on each side is half a cell wide.
  const cell = size / (cells + 1)
  const cellAt = (pixel: number) => Math.floor(pixel / cell - 0.5)
  const isInside = (index: number) => index >= 0 && index < cells
  // One bit for each pixel. Each row begins with its filter type, which is 0 (none).
  const rowBytes = 1 + Math.ceil(size / 8)
  const rows = Buffer.alloc(rowBytes * size)
  for (let y = 0; y < size; y += 1)
    for (let x = 0; x < size; x += 1) {
      const [row, column] = [cellAt(y), cellAt(x)]
      if (!isInside(row) || !isInside(column) || !isSet(row, column)) continue
      const at = y * rowBytes + 1 + (x >> 3)
      rows[at] = (rows[at] as number) | (0x80 >> (x & 7))
    }
  return encodePng(size, rows, [...background, ...color(digits)])
}

/** A color of medium brightness, from the last digits of a key. */
function color(digits: readonly number[]): number[] {
  const [high, low] = digits.slice(-2) as [number, number]
  const hue = ((high * 16 + low) / 256) * 6
  return [0, 4, 2].map((shift) => {
    const distance = Math.abs(((hue + shift) % 6) - 3)
    return Math.round(60 + 130 * Math.min(Math.max(distance - 1, 0), 1))
  })
}

/** [spec] PNG, 11: a square image with a palette of two colors. */
function encodePng(size: number, rows: Buffer, palette: readonly number[]): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  // Bit depth 1, color type 3: indexed.
  header.set([1, 3], 8)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette)),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const frame = Buffer.alloc(8 + body.length)
  frame.writeUInt32BE(data.length, 0)
  body.copy(frame, 4)
  frame.writeUInt32BE(crc32(body), 4 + body.length)
  return frame
}
