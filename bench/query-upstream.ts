import { type AddressInfo, createServer, type Socket } from 'node:net'

const flowCount = 20
const userCount = 25
const threadCount = 25
const messageCount = 100
/** A placeholder in bodies: each user gets another number in its place. */
const ownNumber = 100_000

export interface QueryUpstream {
  readonly url: string
  /** How many calls were answered so far. */
  readonly calls: number
  /** How long it thinks about each call, in milliseconds. */
  latencyMs: number
  /** Where the bodies of each credential differ from those of all others: in their last item, or in each. */
  own: 'nothing' | 'one item' | 'every item'
  close(): void
}

/**
 * A REST API as Flowdock's, with flows of 100 messages by 25 people in 25 threads. Its answers are made beforehand and
 * written as they are, so that it costs next to nothing beside what is measured.
 *
 * @param options `embeds`: flows bring their users along, and messages their threads, as Flowdock has it
 */
export async function startQueryUpstream({ embeds = true } = {}): Promise<QueryUpstream> {
  const organization = {
    id: 1,
    parameterized_name: 'acme',
    name: 'Acme',
    active: true,
    user_count: userCount,
  }
  const users = Array.from({ length: userCount }, (_, index) => ({
    id: index + 1,
    nick: `nick${index + 1}`,
    name: `Person ${index + 1}`,
    email: `person${index + 1}@example.com`,
    avatar: `https://example.com/avatars/${index + 1}`,
    website: null,
  }))
  const flows = Array.from({ length: flowCount }, (_, index) => {
    const name = `f${index + 1}`
    return {
      ...{ id: `00000000-0000-4000-8000-0000000000${String(index + 10)}`, name, parameterized_name: name },
      ...{ organization, unread_mentions: ownNumber, open: true, joined: true, access_mode: 'organization' },
      ...{ url: `https://api.flowdock.com/flows/acme/${name}`, description: null, flow_admin: false },
      web_url: `https://www.flowdock.com/app/acme/${name}`,
    }
  })
  const thread = (index: number, flow: string) => ({
    ...{ id: `thread${index}`, flow, title: `Thread ${index}`, body: '', initial_message: index, fields: [] },
    ...{ created_at: '2026-01-01T00:00:00.000Z', updated_at: '2026-01-01T00:00:00.000Z', activities: 1 },
    ...{ internal_comments: 1, external_comments: 0, actions: [], external_url: null, source: null },
  })
  /** The second member has the positions of own numbers. */
  const answers = new Map<string, readonly [Buffer, readonly number[]]>()
  const answer = (path: string, body: unknown) => {
    const text = Buffer.from(JSON.stringify(body))
    const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`
    const bytes = Buffer.concat([Buffer.from(head), text])
    answers.set(path, [
      bytes,
      Array.from(bytes.toString('latin1').matchAll(RegExp(`${ownNumber}`, 'g')), ({ index }) => index),
    ])
  }
  answer('/user', users[0])
  answer('/users', users)
  answer('/organizations', [organization])
  answer('/flows', flows)
  answer('/flows/all', flows)
  for (const user of users) answer(`/users/${user.id}`, user)
  for (const flow of flows) {
    const path = `/flows/acme/${flow.name}`
    const messages = Array.from({ length: messageCount }, (_, index) => ({
      ...{
        id: index + 1,
        app: 'chat',
        event: 'message',
        flow: flow.id,
        sent: 1_767_225_600_000 + index * 1000,
      },
      ...{
        content: `message ${index + 1}, which somebody had to say`,
        tags: ['release'],
        uuid: `uuid-${index}-${ownNumber}`,
      },
      ...{ user: String((index % userCount) + 1), thread_id: `thread${index % threadCount}` },
      ...(embeds ? { thread: thread(index % threadCount, flow.id) } : {}),
      ...{ attachments: [], emojis: {} },
    }))
    const members = users.map((user) => ({ ...user, in_flow: true, disabled: false }))
    answer(path, embeds ? { ...flow, users: members } : flow)
    answer(`${path}/users`, users)
    answer(`${path}/messages`, messages)
    answer(`${path}/messages10`, messages.slice(-10))
    for (let index = 0; index < threadCount; index += 1)
      answer(`${path}/threads/thread${index}`, thread(index, flow.id))
  }
  const missing = [
    Buffer.from('HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'),
    [],
  ] as const

  const state: { -readonly [Key in 'calls' | 'latencyMs' | 'own']: QueryUpstream[Key] } = {
    calls: 0,
    latencyMs: 0,
    own: 'nothing',
  }
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        const target = text.slice(4, text.indexOf(' HTTP'))
        const token = state.own !== 'nothing' ? (/^authorization: basic (\S+)/im.exec(text)?.[1] ?? '') : ''
        text = text.slice(end + 4)
        const [path = '', query = ''] = target.split('?')
        if (path.startsWith('/stream')) {
          // On which nothing happens.
          socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n')
          continue
        }
        const isShort = /(?:^|&)limit=1[01](?:&|$)/.test(query)
        const [shared, places] = answers.get(isShort ? `${path}10` : path) ?? missing
        const own = state.own === 'every item' ? places : places.slice(-1)
        const bytes = token === '' || own.length === 0 ? shared : withOwnNumbers(shared, own, token)
        state.calls += 1
        if (state.latencyMs === 0) socket.write(bytes)
        else setTimeout(() => socket.write(bytes), state.latencyMs)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  })
}

/** The bytes with numbers of as many digits as `ownNumber`, which are the same for the same token. */
function withOwnNumbers(shared: Buffer, places: readonly number[], token: string): Buffer {
  const bytes = Buffer.from(shared)
  const digits = Buffer.from(token, 'base64').toString().replace(/\D/g, '')
  const own = String(ownNumber + Number(digits))
  for (const at of places) bytes.write(own, at)
  return bytes
}
