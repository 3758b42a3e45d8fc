import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { type IncomingFile, readMultipart } from '../../../src/server/http/multipart.ts'

/** A request whose body arrives in the given pieces. */
function request(pieces: readonly (string | Buffer)[], contentType = 'multipart/form-data; boundary=x') {
  const stream = Readable.from(pieces.map((piece) => Buffer.from(piece)))
  return Object.assign(stream, { headers: { 'content-type': contentType } }) as unknown as IncomingMessage
}

const field = (name: string, value: string) =>
  `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
const file = (name: string, content: string) =>
  `--x\r\nContent-Disposition: form-data; name="${name}"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n${content}\r\n`
const end = '--x--\r\n'
const operations = field('operations', '{"query":"mutation","variables":{"input":{"file":null}}}')
const map = field('map', '{"0":["variables.input.file"]}')
const whole = operations + map + file('0', 'hello') + end

/** Counts the bytes that are held. */
function holding() {
  const bytes = { held: 0, most: 0 }
  return {
    bytes,
    take(count: number) {
      bytes.held += count
      bytes.most = Math.max(bytes.most, bytes.held)
    },
    release() {
      bytes.held = 0
    },
  }
}

/** @param room how many bytes of files may be in memory */
async function read(pieces: readonly (string | Buffer)[], contentType?: string, room = 1024 * 1024) {
  const memory = holding()
  const disk = holding()
  const files = holding()
  const takeIfFree = (count: number) => {
    if (files.bytes.held + count > room) return false
    files.take(count)
    return true
  }
  const { body, close } = await readMultipart(request(pieces, contentType), {
    ...{ memory, disk },
    files: { ...files, takeIfFree },
  })
  const { variables } = body as { variables: { input: { file: IncomingFile } } }
  return {
    ...{ body, close },
    file: variables.input.file,
    ...{ memory: memory.bytes, disk: disk.bytes, files: files.bytes },
  }
}

async function textOf(incoming: IncomingFile): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of incoming.read()) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test.each<[string, (string | Buffer)[]]>([
  ['in one piece', [whole]],
  ['byte by byte', [...Buffer.from(whole)].map((byte) => Buffer.from([byte]))],
])('a file that arrives %s is put where the map says, and can be read again', async (_, pieces) => {
  const { file: incoming, close, disk } = await read(pieces)
  expect(incoming).toMatchObject({ name: 'a.txt', contentType: 'text/plain', byteSize: 5 })
  expect([await textOf(incoming), await textOf(incoming)]).toEqual(['hello', 'hello'])
  expect(disk).toEqual({ held: 5, most: 5 })
  await close()
  expect(disk.held).toBe(0)
})

test.each<[string, string, string, RegExp]>([
  ['no boundary', 'multipart/form-data', whole, /with a boundary/],
  ['no end', 'multipart/form-data; boundary=x', operations + map, /malformed|ended/],
  ['no map', 'multipart/form-data; boundary=x', operations + end, /"map" to be a JSON object/],
  [
    'operations that are a list',
    'multipart/form-data; boundary=x',
    field('operations', '[]') + map + end,
    /Batches are not supported/,
  ],
  ['a field twice', 'multipart/form-data; boundary=x', operations + operations + map + end, /there twice/],
  [
    'a third field',
    'multipart/form-data; boundary=x',
    operations + map + field('more', '1') + end,
    /operations and map/,
  ],
  [
    'a file twice',
    'multipart/form-data; boundary=x',
    operations + map + file('0', 'a') + file('0', 'b') + end,
    /there twice/,
  ],
])('a body with %s is refused, and nothing of it is held', async (_, contentType, body, message) => {
  const [memory, disk, files] = [holding(), holding(), holding()]
  const holdings = { memory, disk, files: { ...files, takeIfFree: () => true } }
  await expect(readMultipart(request([body], contentType), holdings)).rejects.toThrow(message)
  expect([memory.bytes.held, disk.bytes.held]).toEqual([0, 0])
})

test('fields count against the memory, and a body that takes too much of it is refused', async () => {
  const refused = new Error('Too much memory')
  const memory = {
    ...holding(),
    take: () => {
      throw refused
    },
  }
  const files = { takeIfFree: () => true, release: () => undefined }
  await expect(readMultipart(request([whole]), { memory, disk: holding(), files })).rejects.toBe(refused)
})

test.each([
  ['in memory', 1_000_000, 4_000_000],
  ['on the disk, when there is no room in memory', 1_000_000, 0],
  ['on the disk, when it becomes too long for the memory', 3_000_000, 4_000_000],
  ['on the disk, when the memory ends before it does', 1_000_000, 300_000],
])('a file that is %s can be read again while it is being read', async (_, length, room) => {
  const content = 'abcdefghijklm'.repeat(Math.ceil(length / 13)).slice(0, length)
  const body = Buffer.from(operations + map + file('0', content) + end)
  const pieces: Buffer[] = []
  // As sockets give them: each with memory of its own, some of them short.
  for (let at = 0; at < body.length; ) {
    const end = at + (pieces.length % 3 === 0 ? 900 : 60_001)
    pieces.push(Buffer.from(body.subarray(at, end)))
    at = end
  }
  const { file: incoming, close, disk, files } = await read(pieces, undefined, room)
  expect(incoming.byteSize).toBe(length)
  expect(files.most).toBeLessThanOrEqual(room)
  expect(files.most === 0).toBe(room === 0)
  expect(disk.held).toBe(length)
  const [once, again] = await Promise.all([textOf(incoming), textOf(incoming)])
  expect(once === content).toBe(true)
  expect(again === content).toBe(true)
  await close()
  expect([disk.held, files.held]).toEqual([0, 0])
})
