import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/** What one socket has done. */
interface Person {
  readonly index: number
  socket: Socket | undefined
  /** Events since it was opened last. */
  events: number
  isOpen: boolean
  /** The cursor after which the subscription is live. */
  cursor: string | undefined
}

export interface PeopleSockets {
  readonly people: readonly Person[]
  /** How many subscriptions are open. */
  readonly open: number
  /** Subscriptions that were answered by an error. */
  readonly failed: number
  /** Sockets that were refused or closed before their subscription was open, each of which tried again. */
  readonly turnedAway: number
  readonly events: number
  /** Resolves when `isDone` holds; rejects after `withinMs`. */
  until(isDone: () => boolean, withinMs: number): Promise<boolean>
  close(): void
}

export interface PeopleSocketsOptions {
  readonly port: number
  readonly count: number
  readonly tokenOf: (index: number) => string
  readonly query: string
  readonly variablesOf?: (index: number) => object
  /** How many connect at the same time. */
  readonly atOnce: number
  /** Called for each event: which one it is for that subscription, from 0. */
  readonly onEvent?: (index: number, count: number) => void
}

const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])
/** The pause of a stock client before it connects again. */
const retryMs = 1000

function frame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  const head =
    body.length < 126
      ? Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0])
      : Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255, 0, 0, 0, 0])
  return Buffer.concat([head, body])
}

/**
 * Sockets with one subscription each, which count events and look at nothing else of them. One that is refused or closed
 * connects again, as stock clients do; an `error` is final.
 */
export function openPeopleSockets(options: PeopleSocketsOptions): PeopleSockets {
  const { port, count, tokenOf, query, variablesOf = () => ({}), atOnce, onEvent } = options
  const people: Person[] = Array.from({ length: count }, (_, index) => ({
    ...{ index, socket: undefined, events: 0, isOpen: false, cursor: undefined },
  }))
  const counts = { open: 0, failed: 0, turnedAway: 0, events: 0 }
  let isClosed = false
  let next = 0
  const waiting = new Set<() => void>()
  const changed = () => {
    for (const check of waiting) check()
  }
  const openNext = () => {
    const person = people[next]
    if (person === undefined || isClosed) return
    next += 1
    open(person, openNext)
  }

  function open(person: Person, onSettled: () => void): void {
    const socket = connect(port, '127.0.0.1')
    person.socket = socket
    let isSettled = false
    const settle = () => {
      if (isSettled) return
      isSettled = true
      onSettled()
    }
    let rest: Buffer | undefined
    let isUpgraded = false
    let left = 0
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (person.isOpen) counts.open -= 1
      person.isOpen = false
      if (isClosed) return
      if (!isSettled) counts.turnedAway += 1
      setTimeout(
        () => {
          if (!isClosed) open(person, () => undefined)
        },
        retryMs * (0.5 + Math.random()),
      ).unref()
      settle()
      changed()
    })
    socket.on('connect', () =>
      socket.write(
        `GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`,
      ),
    )
    socket.on('data', (chunk: Buffer) => {
      let bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk])
      rest = undefined
      if (!isUpgraded) {
        const end = bytes.indexOf('\r\n\r\n')
        if (end === -1) {
          rest = bytes
          return
        }
        if (!bytes.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) return void socket.destroy()
        isUpgraded = true
        socket.write(
          frame({
            type: 'connection_init',
            payload: { Authorization: `Basic ${btoa(`${tokenOf(person.index)}:`)}` },
          }),
        )
        bytes = bytes.subarray(end + 4)
      }
      for (;;) {
        if (left > bytes.length) {
          left -= bytes.length
          break
        }
        if (left > 0) bytes = bytes.subarray(left)
        left = 0
        if (bytes.length === 0) break
        const short = (bytes[1] ?? 0) & 127
        const headBytes = short < 126 ? 2 : 4
        const size = bytes.length < headBytes ? 0 : short < 126 ? short : bytes.readUInt16BE(2)
        // The type of a message is within its first bytes; the position is read whole.
        const needed = person.isOpen ? Math.min(size, 24) : size
        if (bytes.length < headBytes + needed) {
          rest = bytes
          break
        }
        receive(bytes[0] ?? 0, bytes.subarray(headBytes, headBytes + needed))
        left = size + headBytes
      }
      changed()
    })

    function receive(opcode: number, text: Buffer): void {
      if (opcode === 0x89) return void socket.write(pong)
      if (opcode === 0x88) return void socket.end()
      if (!person.isOpen && text.includes('"connection_ack"')) {
        const payload = { query, variables: variablesOf(person.index), extensions: { position: true } }
        return void socket.write(frame({ id: '1', type: 'subscribe', payload }))
      }
      // {"id":"1","type":"next" …
      const type = text[18]
      if (type === 0x65) {
        counts.failed += 1
        settle()
      } else if (type === 0x6e && !person.isOpen && text.includes('"data":null')) {
        const cursor = /"cursor":"([^"]+)"/.exec(String(text))?.[1]
        if (cursor === undefined) {
          counts.failed += 1
        } else {
          person.cursor = cursor
          person.isOpen = true
          counts.open += 1
        }
        settle()
      } else if (type === 0x6e) {
        person.events += 1
        counts.events += 1
        if (onEvent !== undefined) onEvent(person.index, person.events - 1)
      }
    }
  }

  for (let index = 0; index < atOnce; index += 1) openNext()
  return {
    people,
    get open() {
      return counts.open
    },
    get failed() {
      return counts.failed
    },
    get turnedAway() {
      return counts.turnedAway
    },
    get events() {
      return counts.events
    },
    until(isDone, withinMs) {
      return new Promise((resolve) => {
        const end = (isIt: boolean) => {
          clearTimeout(timer)
          waiting.delete(check)
          resolve(isIt)
        }
        const check = () => {
          if (isDone()) end(true)
        }
        const timer = setTimeout(() => end(false), withinMs)
        waiting.add(check)
        check()
      })
    },
    close() {
      isClosed = true
      for (const { socket } of people) socket?.destroy()
    },
  }
}
