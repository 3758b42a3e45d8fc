import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { eventually, isAtRest, startTestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { collectGarbage } from '../support/memory.ts'

/*
 * Whoever comes and goes leaves nothing behind. `CHURN=10` is ten times as much: 50,000 subscriptions that are completed,
 * and 10,000 sockets that break.
 */

const times = Number(process.env['CHURN'] ?? 1)
const sockets = 20

const query = 'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { cursor } }'

test(`${5000 * times} subscriptions that are completed and ${1000 * times} broken sockets leave no state`, async () => {
  const app = await startTestApp()
  onTestFinished(app.close)
  const token = await app.backend.token('Ada')

  function connect(): Promise<WebSocket> {
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    socket.on('error', () => undefined)
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'connection_init', payload: { Authorization: basic(token) } })),
    )
    return new Promise((resolve) => socket.once('message', () => resolve(socket)))
  }

  /** Begins subscriptions and completes them, one upon the other. */
  async function comeAndGo(count: number): Promise<void> {
    const open = await Promise.all(Array.from({ length: sockets }, connect))
    for (const socket of open) {
      for (let id = 0; id < count / sockets; id += 1) {
        socket.send(JSON.stringify({ type: 'subscribe', id: `${id}`, payload: { query } }))
        socket.send(JSON.stringify({ type: 'complete', id: `${id}` }))
        // The server reads one message after the other: an answer says that what was before is done.
        if (id % 50 === 0)
          await new Promise((resolve) => {
            socket.once('message', resolve)
            socket.send('{"type":"ping"}')
          })
      }
    }
    for (const socket of open) socket.close()
  }

  /** Sockets that break while something runs on them. */
  async function breakOff(count: number): Promise<void> {
    for (let done = 0; done < count; done += sockets) {
      const open = await Promise.all(Array.from({ length: sockets }, connect))
      for (const socket of open) {
        socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query } }))
        socket.terminate()
      }
    }
  }

  async function rest(): Promise<void> {
    await eventually(() => app.state().sockets === 0 && isAtRest(app))
    app.calls.length = 0
  }
  const heap = () => {
    collectGarbage()
    return process.memoryUsage().heapUsed
  }

  await comeAndGo(1000)
  await breakOff(200)
  await rest()
  const before = heap()
  await comeAndGo(5000 * times)
  await breakOff(1000 * times)
  await rest()
  // Calls to the upstream that nobody waits for any more are still to be let go of.
  const deadline = Date.now() + 30_000
  while (heap() > before + 5 * 1024 * 1024) {
    expect(Date.now(), 'the heap is not what it was').toBeLessThan(deadline)
    app.calls.length = 0
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  expect(app.state().live.groups).toEqual([])
}, 600_000)
