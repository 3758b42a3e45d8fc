import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An upstream with one flow; its stream says what it is told to. */
export async function startLiveUpstream(content: string) {
  const streams = new Set<ServerResponse>()
  const organization = { id: 1, parameterized_name: 'acme', name: 'Acme' }
  const ada = { id: 1, nick: 'Ada', name: 'Ada Byron', email: 'ada@example.com' }
  const flow = { id: 'f', name: 'F', parameterized_name: 'f', organization, joined: true, users: [ada] }
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://x')
    if (pathname === '/stream/flows') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(':\n\n')
      streams.add(response)
      response.on('close', () => streams.delete(response))
      return
    }
    const body = pathname === '/flows' ? [flow] : pathname === '/users' ? [ada] : flow
    response.writeHead(pathname === '/capabilities' ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  let id = 0
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tell(count: number) {
      let text = ''
      for (let index = 0; index < count; index += 1) {
        id += 1
        const message = { event: 'message', flow: 'f', id, sent: id, user: '1', tags: [], content }
        text += `id: ${id}\ndata: ${JSON.stringify(message)}\n\n`
      }
      for (const stream of streams) stream.write(text)
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
