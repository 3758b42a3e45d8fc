import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How a request fails: a status, no answer at all, or a closed connection. */
export type FaultKind = 'status 500' | 'no answer' | 'closed connection'

export interface RequestFault {
  readonly kind: FaultKind
  /** The `Authorization` of the requests that fail; those of everybody unless given. */
  readonly authorization: string | undefined
  /** Whether lists of flows alone fail, or every request, new streams included. */
  readonly reach: 'flow lists' | 'everything'
}

export interface RequestFaults {
  readonly url: string
  /** Fails matching requests from now on; with undefined, none. Unanswered requests end when it changes. */
  setFault(fault: RequestFault | undefined): void
  /** Cuts the open streams. */
  cutStreams(): void
  close(): Promise<void>
}

/** An HTTP proxy in front of a server that fails chosen requests. `fault-proxy.ts` fails connections instead. */
export async function startRequestFaults(target: string): Promise<RequestFaults> {
  const { port } = new URL(target)
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  const streams = new Set<ServerResponse>()
  const unanswered = new Set<IncomingMessage>()
  let fault: RequestFault | undefined

  function isHit({ url = '', headers }: IncomingMessage): boolean {
    if (fault === undefined) return false
    if (fault.authorization !== undefined && headers.authorization !== fault.authorization) return false
    return fault.reach === 'everything' || /^\/flows(\?|$)/.test(url)
  }

  function fail(incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (fault?.kind === 'status 500') {
      outgoing
        .writeHead(500, { 'content-type': 'application/json' })
        .end('{"message":"Internal Server Error"}')
    } else if (fault?.kind === 'closed connection') incoming.socket.destroy()
    else {
      unanswered.add(incoming)
      outgoing.on('close', () => unanswered.delete(incoming))
    }
  }

  const proxy = createServer((incoming, outgoing) => {
    // A client that leaves in the middle of its request.
    incoming.on('error', () => undefined)
    outgoing.on('error', () => undefined)
    if (isHit(incoming)) return fail(incoming, outgoing)
    const { method, url, headers } = incoming
    const forwarded = request({ host: '127.0.0.1', port, method, path: url, headers, agent }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      outgoing.flushHeaders()
      if (url?.startsWith('/stream/')) streams.add(outgoing)
      answer.on('error', () => outgoing.destroy())
      // A stream that the server cut ends as one that was cut.
      answer.on('close', () => answer.complete || outgoing.destroy())
      answer.pipe(outgoing)
    })
    forwarded.on('error', () => outgoing.destroy())
    outgoing.on('close', () => {
      streams.delete(outgoing)
      forwarded.destroy()
    })
    incoming.pipe(forwarded)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    setFault(next) {
      fault = next
      for (const { socket } of [...unanswered]) socket.destroy()
    },
    cutStreams() {
      for (const stream of [...streams]) stream.destroy()
    },
    close: () =>
      new Promise<void>((resolve) => {
        proxy.close(() => resolve())
        proxy.closeAllConnections()
        agent.destroy()
      }),
  }
}
