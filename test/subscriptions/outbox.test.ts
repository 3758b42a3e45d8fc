import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { type Body, joined, Outbox, type SlowReaderLimits, Turn } from '../../src/subscriptions/outbox.ts'

const limits: SlowReaderLimits = {
  maxWaitingBytes: 8 * 1024 * 1024,
  maxWaitingMessages: 100_000,
  maxWaitingMs: 1000,
}

/** A writer on a real line, and the reader at its other end. */
async function open(more: Partial<SlowReaderLimits> = {}, turn = new Turn()) {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const accepted = once(server, 'connection')
  const reader = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [line] = (await accepted) as [Socket]
  onTestFinished(() => {
    reader.destroy()
    line.destroy()
    server.close()
  })
  for (const socket of [reader, line]) socket.on('error', () => undefined)
  let writes = 0
  let isSlow = false
  const writer = new Outbox(
    {
      stream: line,
      turn,
      framing: {
        size: joined.size,
        write(envelope, body, memory, at) {
          if (at === 0) writes += 1
          return joined.write(envelope, body, memory, at)
        },
      },
      onSlow() {
        isSlow = true
        line.destroy()
      },
    },
    { ...limits, ...more },
  )
  return { reader, line, writer, writes: () => writes, isSlow: () => isSlow }
}

const bodyOf = (text: string): Body => ({ bytes: Buffer.from(text), next: undefined })
const around = { head: Buffer.from('<'), tail: Buffer.from('>') }

test('what is sent in one turn goes out in one write, whole and in order', async () => {
  const { reader, writer, writes } = await open()
  let text = ''
  reader.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  for (const each of ['a', 'ö', 'c']) writer.send(around, bodyOf(each))
  await expect.poll(() => text).toBe('<a><ö><c>')
  expect(writes()).toBe(1)
})

test('what is sent when a turn ends goes out in one write, and never before what was sent earlier', async () => {
  const { reader, writer, writes } = await open()
  let text = ''
  reader.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  writer.sendNow(around, ['a', 'b', 'c'].map(bodyOf))
  expect(writes()).toBe(1)
  writer.send(around, bodyOf('d'))
  writer.sendNow(around, [bodyOf('e'), bodyOf('f')])
  await expect.poll(() => text).toBe('<a><b><c><d><e><f>')
  expect(writes()).toBe(2)
})

test('a burst of ten thousand in one turn harms no reader who reads', async () => {
  const { reader, writer, isSlow } = await open({ maxWaitingBytes: 32 * 1024 * 1024 })
  let size = 0
  reader.on('data', (chunk) => {
    size += chunk.length
  })
  const each = bodyOf('x'.repeat(1000))
  for (let index = 0; index < 10_000; index += 1) writer.send(around, each)
  await expect.poll(() => size).toBe(10_000 * (each.bytes.length + 2))
  expect([isSlow(), writer.waitingBytes]).toEqual([false, 0])
})

test('a reader who takes nothing is dropped at a bound of bytes, with little of its own', async () => {
  const { reader, line, writer, isSlow } = await open()
  reader.pause()
  const each = bodyOf('x'.repeat(100_000))
  let most = 0
  for (let index = 0; index < 500 && !isSlow(); index += 1) {
    writer.send(around, each)
    most = Math.max(most, line.writableLength)
    await new Promise(setImmediate)
  }
  expect(isSlow()).toBe(true)
  // All but this is kept once for everybody.
  expect(most).toBeLessThan(300_000)
  expect(writer.waitingBytes).toBe(0)
})

test('and by time, if little is sent: also one who reads a byte now and then', async () => {
  const { reader, writer, isSlow } = await open()
  reader.pause()
  const each = bodyOf('x'.repeat(50_000))
  // Until the system takes no more.
  for (let index = 0; index < 140 && writer.waitingBytes === 0; index += 1) {
    writer.send(around, each)
    await new Promise(setImmediate)
  }
  expect(writer.waitingBytes).toBeGreaterThan(0)
  writer.check(Date.now() + 900)
  expect(isSlow()).toBe(false)
  reader.read(1)
  writer.check(Date.now() + 2000)
  expect(isSlow()).toBe(true)
})

test('what came while a reader took nothing comes whole and in order once it reads, before what comes then', async () => {
  const { reader, writer, isSlow } = await open({ maxWaitingMs: 60_000 })
  reader.pause()
  const send = (index: number) => writer.send(around, bodyOf(`${index} ${'x'.repeat(1000)}`))
  let sent = 0
  const turn = async (count: number) => {
    for (let each = 0; each < count; each += 1) send(sent++)
    await new Promise(setImmediate)
  }
  // Until the line takes no more, and then as much as stands in several lists.
  while (writer.waitingBytes < 100_000) await turn(100)
  const before = sent
  for (let count = 0; count < 10; count += 1) await turn(200)
  expect(writer.waitingBytes).toBeGreaterThan((sent - before) * 1000)
  let text = ''
  reader.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  reader.resume()
  await turn(1)
  await expect.poll(() => text.endsWith(`<${sent - 1} ${'x'.repeat(1000)}>`)).toBe(true)
  expect([...text.matchAll(/<(\d+) x+>/g)].map(([, index]) => Number(index))).toEqual(
    Array.from({ length: sent }, (_, index) => index),
  )
  expect(writer.waitingBytes).toBe(0)
  expect(isSlow()).toBe(false)
})

test('a frame that waits for several readers is in memory once, and each gets its own prefix', async () => {
  const turn = new Turn()
  const lines = await Promise.all(Array.from({ length: 3 }, () => open({ maxWaitingMs: 60_000 }, turn)))
  const other = { head: Buffer.from('['), tail: Buffer.from(']') }
  // One receives everything, one in two envelopes, and one not everything.
  const isReceived = [() => true, () => true, (index: number) => index % 3 > 0]
  const envelopeOf = [() => around, (index: number) => (index % 50 < 20 ? other : around), () => around]
  const expected = lines.map(() => '')
  const heard = lines.map(() => '')
  lines.forEach(({ reader }, each) => {
    reader.setEncoding('utf8').on('data', (chunk: string) => {
      heard[each] += chunk
    })
  })
  for (const { reader } of lines.slice(1)) reader.pause()
  let sent = 0
  const bodies: Body[] = []
  const send = async (count: number) => {
    for (let end = sent + count; sent < end; sent += 1) {
      const index = sent
      const text = `${index} ${String.fromCharCode(97 + (index % 26)).repeat(1000)}`
      const body = bodyOf(text)
      bodies.push(body)
      lines.forEach(({ writer }, each) => {
        if (!isReceived[each]?.(index)) return
        const envelope = envelopeOf[each]?.(index) ?? around
        if (index % 7 === 0) writer.sendNow(envelope, [body])
        else writer.send(envelope, body)
        expected[each] += `${envelope.head}${text}${envelope.tail}`
      })
    }
    await new Promise(setImmediate)
  }
  while (lines.slice(1).some(({ writer }) => writer.waitingBytes < 100_000)) await send(100)
  await send(1000)
  // What left at once leads to nothing; what waits is one chain, but for where somebody's begins anew.
  expect(bodies[0]?.next).toBeUndefined()
  const chained = bodies
    .slice(-1000)
    .filter(({ next }, index, all) => next !== undefined && next === all[index + 1])
  expect(chained.length).toBeGreaterThan(900)
  lines[2]?.reader.resume()
  for (let turns = 0; turns < 10; turns += 1) await send(100)
  lines[1]?.reader.resume()
  for (let turns = 0; turns < 10; turns += 1) await send(100)
  await expect.poll(() => heard.map((text) => text.length)).toEqual(expected.map((text) => text.length))
  expect(heard.map((text, each) => text === expected[each])).toEqual([true, true, true])
})

test('a reader that catches up in time is not dropped later', async () => {
  const { reader, writer, isSlow } = await open()
  reader.pause()
  const each = bodyOf('x'.repeat(50_000))
  for (let index = 0; index < 140 && writer.waitingBytes === 0; index += 1) {
    writer.send(around, each)
    await new Promise(setImmediate)
  }
  reader.resume()
  await expect.poll(() => writer.waitingBytes).toBe(0)
  writer.check(Date.now() + 3_600_000)
  expect(isSlow()).toBe(false)
  writer.send(around, bodyOf('after'))
  await writer.ready()
})

test('waiting for room ends when the reader leaves', async () => {
  const { reader, writer } = await open()
  reader.pause()
  for (let index = 0; index < 100; index += 1) writer.send(around, bodyOf('x'.repeat(50_000)))
  const ready = writer.ready()
  reader.destroy()
  await ready
})
