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

async function read(pieces: readonly (string | Buffer)[], contentType?: string) {
  const memory = holding()
  const disk = holding()
  const { body, close } = await readMultipart(request(pieces, contentType), { memory, disk })
  const { variables } = body as { variables: { input: { file: IncomingFile } } }
  return { body, file: variables.input.file, close, memory: memory.bytes, disk: disk.bytes }
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
    /"operations"/,
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
  const memory = holding()
  const disk = holding()
  await expect(readMultipart(request([body], contentType), { memory, disk })).rejects.toThrow(message)
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
  await expect(readMultipart(request([whole]), { memory, disk: holding() })).rejects.toBe(refused)
})
