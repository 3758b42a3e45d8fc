import type { IncomingMessage, ServerResponse } from 'node:http'
import { hasServiceStream } from './app.ts'
import { answerJson } from './upstream.ts'

/**
 * The streams of a scripted upstream with one flow, `f`: a service stream where the gateways of this run have one, or else a
 * stream for each principal. What is told reaches all that are open.
 */
export class ScriptedStreams {
  readonly open = new Set<ServerResponse>()
  #last = 0
  #isCut = false

  /** Answers a request for a stream, or for what may be received. @returns whether it was one */
  answer({ url }: IncomingMessage, response: ServerResponse): boolean {
    const { pathname } = new URL(url ?? '', 'http://x')
    if (pathname === '/service/v1/entitlement') {
      answerJson(response, 200, {
        ...{ log: 'log', at: this.#last, user: 1, grant: 'grant', flows: ['f'], private: true },
        ...{ organizations: [], scopes: null, expires_at: null },
      })
      return true
    }
    if (pathname !== (hasServiceStream ? '/service/v1/stream' : '/stream/flows')) return false
    if (this.#isCut) answerJson(response, 503, {})
    else {
      response.writeHead(200, {
        ...{ 'content-type': 'text/event-stream', 'flowdock-log-id': 'log', 'flowdock-first-event': '1' },
        ...(hasServiceStream ? { 'flowdock-event-id': String(this.#last) } : {}),
      })
      response.write(hasServiceStream ? `event: h\ndata: {"head":${this.#last}}\n\n` : ':\n\n')
      this.open.add(response)
      response.on('close', () => this.open.delete(response))
    }
    return true
  }

  /** Sends events, the first of which has the id after the last one, in as few pieces as the connection makes of them. */
  tell(...payloads: readonly object[]): void {
    const text = payloads.map((payload) => {
      this.#last += 1
      const event = hasServiceStream ? { a: 'f:f', t: 0, p: payload } : payload
      return `id: ${this.#last}\n${hasServiceStream ? 'event: e\n' : ''}data: ${JSON.stringify(event)}\n\n`
    })
    for (const stream of this.open) stream.write(text.join(''))
  }

  /** Ends all streams, and lets no other begin. */
  cut(): void {
    this.#isCut = true
    for (const stream of this.open) stream.destroy()
  }
}
