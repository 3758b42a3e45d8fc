import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RequestBody {
  /** Header lines, each with its end. */
  readonly headers: string
  readonly bytes: Buffer
}

interface Connection {
  readonly socket: Socket
  /** Rejects the request in progress. */
  fail: ((error: Error) => void) | undefined
}

/** How long a response may take. After that the run fails. */
const silenceMs = 20_000

export interface QueryClient {
  /** Sends again and again until the time is over. Resolves with how long each response took, in milliseconds. */
  run(ms: number): Promise<number[]>
  /** The body of one response. */
  once(): Promise<string>
  close(): void
}

/**
 * Sockets that write bytes and look for the end of responses. The credential changes with every request: `token0`, `token1`, …
 *
 * @param what a query, or a body of another kind
 */
export async function openClient(
  port: number,
  what: string | RequestBody,
  connections: number,
  people: number,
): Promise<QueryClient> {
  const body = typeof what === 'string' ? jsonBody(what) : what
  const heads = Array.from({ length: people }, (_, index) => {
    const token = Buffer.from(`token${index}:`).toString('base64')
    return Buffer.from(
      `POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${body.headers}Accept: application/json\r\nAuthorization: Basic ${token}\r\nContent-Length: ${body.bytes.length}\r\n\r\n`,
    )
  })
  // Large bodies are in memory once.
  const requests = body.bytes.length > 4096 ? heads : heads.map((head) => Buffer.concat([head, body.bytes]))
  let turn = 0
  const opened: Connection[] = []
  for (let index = 0; index < connections; index += 1) {
    const socket = connect(port, '127.0.0.1').setNoDelay(true)
    const connection: Connection = { socket, fail: undefined }
    opened.push(connection)
    await once(socket, 'connect')
    socket.on('error', (error) => connection.fail?.(error))
    socket.on('close', () => connection.fail?.(new Error('The server closed the connection')))
    socket.setTimeout(silenceMs, () => socket.destroy(new Error(`No response in ${silenceMs} ms`)))
  }

  function send(connection: Connection, wantsText: boolean): Promise<string> {
    const { socket } = connection
    return new Promise((resolve, reject) => {
      connection.fail = reject
      const chunks: Buffer[] = []
      let size = 0
      let end = -1
      const onData = (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (end === -1) {
          const text = Buffer.concat(chunks).toString('latin1')
          const head = text.indexOf('\r\n\r\n')
          if (head === -1) return
          const length = /^content-length: (\d+)/im.exec(text)?.[1]
          if (length === undefined || !text.startsWith('HTTP/1.1 200'))
            return reject(new Error(text.slice(0, 300)))
          end = head + 4 + Number(length)
        }
        if (size < end) return
        socket.off('data', onData)
        connection.fail = undefined
        resolve(wantsText ? Buffer.concat(chunks).toString() : '')
      }
      socket.on('data', onData)
      const request = requests[turn++ % requests.length] as Buffer
      if (requests !== heads) socket.write(request)
      else {
        socket.cork()
        socket.write(request)
        socket.write(body.bytes)
        socket.uncork()
      }
    })
  }

  return {
    async run(ms) {
      const took: number[] = []
      const start = performance.now()
      await Promise.all(
        opened.map(async (connection) => {
          for (let now = performance.now(); now - start < ms; ) {
            await send(connection, false)
            const then = performance.now()
            took.push(then - now)
            now = then
          }
        }),
      )
      return took
    },
    async once() {
      const text = await send(opened[0] as Connection, true)
      return text.slice(text.indexOf('\r\n\r\n') + 4)
    },
    close() {
      for (const { socket } of opened) socket.destroy()
    },
  }
}

export function jsonBody(query: string): RequestBody {
  return { headers: 'Content-Type: application/json\r\n', bytes: Buffer.from(JSON.stringify({ query })) }
}

/** A mutation with a file as its variable `file`. [graphql-multipart-request-spec] */
export function fileBody(query: string, file: Buffer): RequestBody {
  const boundary = 'boundary-of-a-file'
  const part = (head: string) => `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`
  return {
    headers: `Content-Type: multipart/form-data; boundary=${boundary}\r\nGraphQL-Require-Preflight: 1\r\n`,
    bytes: Buffer.concat([
      Buffer.from(
        `${part('name="operations"')}${JSON.stringify({ query, variables: { file: null } })}\r\n` +
          `${part('name="map"')}{"0":["variables.file"]}\r\n` +
          part('name="0"; filename="file.bin"\r\nContent-Type: application/octet-stream'),
      ),
      file,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]),
  }
}
