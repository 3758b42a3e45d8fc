import { type ClientRequest, type IncomingMessage, request } from 'node:http'

/** A stream read byte by byte, as clients without a library do. */
export interface RawStream {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** Everything that came so far. */
  readonly text: string
  /** Resolves with the text once it matches; rejects when the stream ends first. */
  until(pattern: RegExp): Promise<string>
  /** Resolves when the server ends it. */
  readonly ended: Promise<void>
  /** Reads no more of it. */
  pause(): void
  close(): void
}

export function openRawStream(url: string, headers: Record<string, string> = {}): Promise<RawStream> {
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = request(url, { headers }, (response) => {
      let text = ''
      const waiting = new Set<() => void>()
      const { promise: ended, resolve: end } = Promise.withResolvers<void>()
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        for (const check of [...waiting]) check()
      })
      response.on('error', () => undefined)
      response.on('close', () => {
        end()
        for (const check of [...waiting]) check()
      })
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        get text() {
          return text
        },
        until: (pattern) =>
          new Promise((found, failed) => {
            const check = () => {
              if (pattern.test(text)) found(text)
              else if (response.closed) failed(new Error(`The stream ended before ${pattern}: ${text}`))
              else return
              waiting.delete(check)
            }
            waiting.add(check)
            check()
          }),
        ended,
        pause: () => response.pause(),
        close: () => response.destroy(),
      })
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** The ids of complete SSE events in a text. */
export function eventIds(text: string): number[] {
  return [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]))
}
