import { once } from 'node:events'
import { WebSocket } from 'ws'
import { callThings, type Json, type ThingsClient } from './things.ts'

/** A socket of the flowthings API. */
export interface ThingsSocket {
  readonly socket: WebSocket
  /** Every frame that came, parsed. */
  readonly frames: Json[]
  /** The drops that came. */
  readonly events: Json[]
  send(frame: unknown): void
  /** Sends a command with a number of its own. Resolves with its reply. */
  ask(frame: object): Promise<Json>
  /** Resolves once so many events came. */
  until(count: number): Promise<Json[]>
  readonly closed: Promise<number>
}

export async function openSession(
  url: string,
  { account, token }: Pick<ThingsClient, 'account' | 'token'>,
  query = '',
): Promise<string> {
  const headers = { 'x-auth-account': account, 'x-auth-token': token }
  const { status, body, text } = await callThings(`${url}/session${query}`, 'POST', headers)
  if (status !== 201) throw new Error(text)
  return body.id
}

export async function openSocket(
  url: string,
  client: Pick<ThingsClient, 'account' | 'token'>,
  query = '',
): Promise<ThingsSocket> {
  const id = await openSession(url, client, query)
  const socket = new WebSocket(`${url.replace('http', 'ws')}/session/${id}/ws`)
  const frames: Json[] = []
  const events: Json[] = []
  const waiting = new Set<() => void>()
  const closed = new Promise<number>((resolve) => {
    socket.on('close', (code) => {
      resolve(code)
      for (const wake of waiting) wake()
    })
  })
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data))
    frames.push(frame)
    if (frame.type === 'message') events.push(frame)
    for (const wake of waiting) wake()
  })
  await once(socket, 'open')
  let number = 1000

  function wait<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = find()
        if (found === undefined && socket.readyState !== WebSocket.CLOSED) return
        waiting.delete(look)
        if (found === undefined)
          reject(new Error(`The socket closed after ${JSON.stringify(frames).slice(0, 2000)}`))
        else resolve(found)
      }
      waiting.add(look)
      look()
    })
  }

  const send = (frame: unknown) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
  return {
    ...{ socket, frames, events, closed, send },
    ask(frame) {
      number += 1
      const msgId = number
      send({ msgId, ...frame })
      const wanted = 'msgId' in frame ? frame.msgId : msgId
      return wait(() => frames.find(({ head }) => head !== undefined && head.msgId === wanted))
    },
    until: (count) => wait(() => (events.length >= count ? events : undefined)),
  }
}
