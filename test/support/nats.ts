import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { onTestFinished } from 'vitest'

/** Where the tests that need NATS find one. */
export const natsUrl = process.env['TEST_NATS_URL'] ?? 'nats://127.0.0.1:4222'

/** Whether something listens at a port. */
export function isListening(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

export function isNatsThere(): Promise<boolean> {
  const { hostname, port } = new URL(natsUrl)
  return isListening(Number(port || 4222), hostname)
}

/** A NATS server of a test's own, which can be ended without notice and started again. */
export interface NatsServer {
  readonly url: string
  start(): Promise<void>
  kill(): Promise<void>
}

/** @param options of `nats-server` */
export async function makeNatsServer(...options: string[]): Promise<NatsServer> {
  const port = await findFreePort()
  let child: ChildProcess | undefined
  const kill = async () => {
    if (child === undefined) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    child = undefined
    await exited
  }
  onTestFinished(kill)
  return {
    url: `nats://127.0.0.1:${port}`,
    async start() {
      child = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port), ...options], { stdio: 'ignore' })
      await once(child, 'spawn')
      while (!(await isListening(port)))
        if (child.exitCode !== null) throw new Error(`nats-server ended with ${child.exitCode}`)
    },
    kill,
  }
}

export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('There is no free port')
  return address.port
}
