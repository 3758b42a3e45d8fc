import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, type IClientOptions, type MqttClient } from 'mqtt'
import { expect, onTestFinished } from 'vitest'
import { makeFolder } from './backend.ts'
import { findFreePort, isListening } from './nats.ts'

/** Where the tests of MQTT find a broker: Mosquitto. */
export const brokerUrl = process.env['TEST_MQTT_URL'] ?? 'mqtt://127.0.0.1:1883'

export function isBrokerThere(): Promise<boolean> {
  const { hostname, port } = new URL(brokerUrl)
  return isListening(Number(port || 1883), hostname)
}

/** A topic that no other test has. */
export function uniqueTopic(): string {
  return `flowdock-gateway-test/${randomUUID()}`
}

/** A client of a broker, which ends with the test. */
export interface TestClient {
  /** Publishes, and waits for the acknowledgement. */
  publish(
    topic: string,
    payload: string | Buffer,
    options?: { qos?: 0 | 1 | 2; retain?: boolean },
  ): Promise<void>
  /** Subscribes. @returns the payloads that arrived so far, as text */
  subscribe(topic: string): Promise<string[]>
}

export async function connectClient(url = brokerUrl, options: IClientOptions = {}): Promise<TestClient> {
  const client: MqttClient = connect(url, { reconnectPeriod: 100, protocolVersion: 5, ...options })
  onTestFinished(async () => {
    await client.endAsync(true)
  })
  await new Promise<void>((resolve) => client.once('connect', () => resolve()))
  return {
    async publish(topic, payload, { qos = 1, retain = false } = {}) {
      await client.publishAsync(topic, payload, { qos, retain })
    },
    async subscribe(topic) {
      const received: string[] = []
      client.on('message', (at, payload) => {
        if (at === topic) received.push(payload.toString())
      })
      await client.subscribeAsync(topic, { qos: 2 })
      return received
    },
  }
}

/** A broker of a test's own, which can be ended without notice and started again. */
export interface TestBroker {
  readonly url: string
  /** The same over WebSockets. */
  readonly webSocketUrl: string
  start(): Promise<void>
  kill(): Promise<void>
}

/** @param users with their passwords; anyone is let in by default */
export async function makeBroker(users: Readonly<Record<string, string>> = {}): Promise<TestBroker> {
  const [port, webSocketPort] = [await findFreePort(), await findFreePort()]
  const folder = await makeFolder()
  const names = Object.entries(users)
  await writeFile(join(folder, 'passwords'), names.map(([name, word]) => `${name}:${word}\n`).join(''))
  if (names.length > 0) spawnSync('mosquitto_passwd', ['-U', join(folder, 'passwords')])
  await chmod(folder, 0o777)
  await writeFile(
    join(folder, 'mosquitto.conf'),
    [
      ...(process.getuid?.() === 0 ? ['user root'] : []),
      ...(names.length > 0 ? [`password_file ${folder}/passwords`] : []),
      `allow_anonymous ${names.length === 0}`,
      ...[`persistence_location ${folder}/`, 'persistence true', 'log_dest none'],
      ...[`listener ${port} 127.0.0.1`, `listener ${webSocketPort} 127.0.0.1`, 'protocol websockets', ''],
    ].join('\n'),
  )
  let child: ChildProcess | undefined
  const kill = async () => {
    if (child === undefined) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    child = undefined
    await exited
  }
  onTestFinished(kill)
  return {
    url: `mqtt://127.0.0.1:${port}`,
    webSocketUrl: `ws://127.0.0.1:${webSocketPort}`,
    async start() {
      const program = spawn('mosquitto', ['-c', join(folder, 'mosquitto.conf')], {
        env: { PATH: `${process.env['PATH']}:/usr/sbin` },
        stdio: 'ignore',
      })
      child = program
      await once(program, 'spawn')
      while (!(await isListening(port)))
        if (program.exitCode !== null) throw new Error(`mosquitto ended with ${program.exitCode}`)
    },
    kill,
  }
}

/** Waits until a list has as many items, and returns them. */
export async function untilReceived(received: readonly string[], count: number): Promise<readonly string[]> {
  await expect.poll(() => received.length).toBeGreaterThanOrEqual(count)
  return received
}
