import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

/** The service token of the upstream. */
export const serviceToken = 'service-token-of-the-benchmarks-0123456789'

/** The token of a user. @param index from 0 */
export const tokenOf = (index: number) => index.toString(16).padStart(32, '0')

/** How many users share a quiet flow. */
const teamSize = 20
/** Events begin with this number, so that all have the same number of digits. */
const firstNumber = 1_000_000

/**
 * An upstream with the service interface (`src/wire/service.ts`). Each user has a token and has joined a busy flow, which all share,
 * and a quiet one. It stores nothing, so what is measured is the gateway.
 */
export async function startServiceUpstream(content: string) {
  const streams = new Set<ServerResponse>()
  const organization = { id: 1, parameterized_name: 'acme', name: 'Acme', active: true }
  const flowOf = (id: string) => ({
    ...{ id, name: id, parameterized_name: id, organization, url: `http://127.0.0.1/flows/acme/${id}` },
  })
  const userOf = (id: number) => ({
    ...{ id, nick: `person${id}`, name: `Person ${id}`, email: `person${id}@example.com` },
    ...{ disabled: false, organizations: [1] },
  })
  let at = firstNumber
  const entitlementOf = (authorization: string) => {
    const [scheme = '', value = ''] = authorization.split(' ')
    const token = scheme.toLowerCase() === 'basic' ? atob(value).split(':')[0] : value
    const index = Number.parseInt(token ?? '', 16)
    return {
      ...{ log: 'bench', at, user: index + 1, grant: `grant ${index}` },
      flows: ['busy', `team-${Math.floor(index / teamSize)}`],
      ...{ private: true, organizations: [{ id: 1, admin: false }], scopes: null, expires_at: null },
    }
  }

  async function bodyFor(request: IncomingMessage, { pathname, searchParams }: URL): Promise<unknown> {
    const ids = (searchParams.get('ids') ?? '').split(',')
    switch (pathname) {
      case '/service/v1/entitlement':
        return entitlementOf(request.headers.authorization ?? '')
      case '/service/v1/entitlements':
        return ((await json(request)) as string[]).map(entitlementOf)
      case '/service/v1/audit':
        await json(request)
        return []
      case '/service/v1/users':
        return { at, users: ids.map(Number).map(userOf) }
      case '/service/v1/flows':
        return { at, flows: ids.map(flowOf) }
      default:
        return undefined
    }
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://x')
    if (url.pathname === '/service/v1/stream') {
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'flowdock-service': '1',
        'flowdock-log-id': 'bench',
        'flowdock-event-id': String(at),
        'flowdock-first-event': String(firstNumber),
      })
      response.write(headFrame())
      streams.add(response)
      response.on('close', () => streams.delete(response))
      return
    }
    const body = await bodyFor(request, url)
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body ?? {}))
  })
  const headFrame = () => `event: h\ndata: ${JSON.stringify({ head: at })}\n\n`
  const heads = setInterval(() => {
    for (const stream of streams) stream.write(headFrame())
  }, 5000)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Publishes messages to the busy flow. */
    publish(count: number): void {
      let text = ''
      for (let index = 0; index < count; index += 1) {
        at += 1
        const message = {
          ...{
            event: 'message',
            flow: 'busy',
            id: at,
            sent: 1_764_339_000_000,
            user: '1',
            tags: [],
            content,
          },
        }
        text += `id: ${at}\nevent: e\ndata: ${JSON.stringify({ a: 'f:busy', t: message.sent, p: message })}\n\n`
      }
      for (const stream of streams) stream.write(text)
    },
    close(): void {
      clearInterval(heads)
      server.closeAllConnections()
      server.close()
    },
  }
}
