import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { failureHead, successHead } from '../envelope.ts'
import { toFailure } from '../rest/failures.ts'
import { type Command, type CommandContext, changesSubscriptions, execute, parseCommand } from './commands.ts'
import type { Session } from './sessions.ts'
import type { Subscriber } from './subscriptions.ts'

export interface ClientOptions {
  readonly session: Session
  readonly socket: WebSocket
  /** The stream below the socket. Frames are written to it directly. */
  readonly stream: Duplex
  readonly context: Omit<CommandContext, 'session' | 'subscriber'>
  /** Called before each command. @throws HttpError when a limit is exceeded */
  readonly onCommand: () => void
  readonly onError: (error: unknown) => void
}

/** The most commands that run at once. While there are so many, the socket is not read. */
const maxRunning = 64
/** The most bytes that are buffered for a slow client. */
const maxWaitingBytes = 16 * 1024 * 1024

/** One open socket. */
export class SocketClient implements Subscriber {
  readonly session: Session
  readonly socket: WebSocket
  /** The time of the last received frame, in milliseconds. */
  receivedAt = Date.now()
  readonly #options: ClientOptions
  readonly #running = new Set<Promise<void>>()
  /** Resolves when the next command may run. */
  #barrier: Promise<unknown> = Promise.resolve()
  #isCorked = false

  constructor(options: ClientOptions) {
    this.#options = options
    this.session = options.session
    this.socket = options.socket
  }

  get principal() {
    return this.session.principal
  }

  get style() {
    return this.session.style
  }

  /** Sends a frame. All frames of a turn of the event loop are one write. */
  send(frame: Buffer): void {
    const { stream, socket } = this.#options
    if (socket.readyState !== socket.OPEN) return
    if (stream.writableLength > maxWaitingBytes) return socket.terminate()
    if (!this.#isCorked) {
      this.#isCorked = true
      stream.cork()
      setImmediate(() => {
        this.#isCorked = false
        stream.uncork()
      })
    }
    stream.write(frame)
  }

  receive(text: string): void {
    const command = parseCommand(text)
    if (command === undefined) return
    const { socket } = this.#options
    const before = changesSubscriptions(command)
      ? Promise.all([this.#barrier, ...this.#running])
      : this.#barrier
    const done = before.then(() => this.#run(command))
    if (changesSubscriptions(command)) this.#barrier = done
    this.#running.add(done)
    if (this.#running.size >= maxRunning) socket.pause()
    done.finally(() => {
      this.#running.delete(done)
      if (this.#running.size < maxRunning) socket.resume()
    })
  }

  /** Runs a command and replies. It never rejects. */
  async #run(command: Command): Promise<void> {
    const { context, session, socket, onCommand, onError } = this.#options
    const { msgId } = command
    const correlation = { msgId }
    let reply: object
    try {
      onCommand()
      const outcome = await execute({ ...context, session, subscriber: this }, command)
      reply = { head: successHead(outcome, correlation), body: outcome.body }
    } catch (error) {
      const { status, message } = toFailure(error, onError)
      reply = { head: failureHead(status, message, correlation), body: {} }
    }
    // Without a `msgId`, no reply is sent, because clients fail on unexpected replies. [flowthings] clients
    if (msgId === undefined || msgId === null || socket.readyState !== socket.OPEN) return
    socket.send(JSON.stringify(reply))
  }
}
