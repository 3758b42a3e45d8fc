import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limitPackets } from '../../../../src/backend/flowthings/tasks/packet-limit.ts'

/** A packet of MQTT with a body of this length. */
function packet(type: number, length: number): Buffer {
  const digits: number[] = []
  for (let rest = length; ; rest = Math.floor(rest / 128)) {
    digits.push(rest < 128 ? rest : (rest % 128) + 128)
    if (rest < 128) break
  }
  return Buffer.concat([Buffer.from([type, ...digits]), Buffer.alloc(length, type)])
}

async function pass(
  chunks: readonly Buffer[],
  max: number,
  whenLonger: 'truncate' | 'fail',
): Promise<Buffer> {
  const limit = limitPackets(max, whenLonger)
  const passed = limit.toArray()
  for (const chunk of chunks) limit.write(chunk)
  limit.end()
  return Buffer.concat(await passed)
}

test('packets pass as they are, and longer ones without their end, however they are cut on their way', async () => {
  const lengths = fc.array(fc.oneof(fc.nat(5), fc.constantFrom(126, 127, 128, 129, 199, 200, 201, 20_000)), {
    maxLength: 6,
  })
  await fc.assert(
    fc.asyncProperty(
      lengths,
      fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 8 }),
      async (all, cuts) => {
        const bytes = Buffer.concat(all.map((length, index) => packet(0x30 + index, length)))
        const chunks: Buffer[] = []
        let at = 0
        for (const cut of cuts) {
          chunks.push(bytes.subarray(at, at + cut))
          at += cut
        }
        chunks.push(bytes.subarray(at))
        const expected = Buffer.concat(
          all.map((length, index) => packet(0x30 + index, Math.min(length, 200))),
        )
        expect(await pass(chunks, 200, 'truncate')).toEqual(expected)
      },
    ),
    { numRuns: 200 },
  )
})

test('where the broker was told the limit, a longer packet ends the stream', async () => {
  await expect(pass([packet(0x30, 201)], 200, 'fail')).rejects.toThrow('a packet of 201 bytes, more than 200')
  expect(await pass([packet(0x30, 200)], 200, 'fail')).toEqual(packet(0x30, 200))
})

test('bytes that are no packet end the stream', async () => {
  await expect(pass([Buffer.alloc(5, 0xff)], 200, 'truncate')).rejects.toThrow('no packet of MQTT')
})
