import sharp from 'sharp'
import { expect, test } from 'vitest'
import {
  type Answer,
  basic,
  call,
  type Nick,
  startTestBackend,
  type TestBackend,
} from '../../support/backend.ts'

/** A backend with one of everything in the flow `example/facts`, where Ada and Ben are; Cleo is not. */
export interface World {
  readonly backend: TestBackend
  readonly flow: Json
  readonly chat: Json
  readonly comment: Json
  readonly status: Json
  readonly file: Json
  readonly activity: Json
  readonly discussion: Json
  readonly source: Json
  readonly invitation: Json
  readonly privateMessage: Json
  readonly privateFile: Json
  readonly conversation: Json
  call(request: Request): Promise<Answer>
}

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
export type Json = any

/** A request as a client sends it; a GET may have a body. */
export interface Request {
  /** Whose token goes along; `nobody` sends none. Ada unless said. */
  readonly as?: Nick | 'nobody'
  readonly method?: string
  readonly path: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

/** What the reference says of one request, and in which section. */
export interface Fact {
  readonly ref: string
  readonly fact: string
  readonly request?: (world: World) => Request
  readonly status?: number
  /** What the JSON of the answer matches. */
  readonly json?: (world: World) => unknown
  readonly text?: string
  readonly headers?: Readonly<Record<string, string | RegExp | null>>
  /** What a status and a body cannot say. */
  readonly check?: (world: World, answer: Answer | undefined) => void | Promise<void>
}

export const facts = '/flows/example/facts'

export async function makeWorld(): Promise<World & { close(): Promise<void> }> {
  const backend = await startTestBackend({ keepAliveMs: 50, activityEveryMs: 100 })
  const ada = backend.as('Ada')
  const send = async (path: string, body: object) => (await ada('POST', path, body)).json
  const { id } = await send('/flows/example', { name: 'Facts' })
  await ada('POST', `${facts}/users`, { id: 2 })
  await ada('PUT', facts, { access_mode: 'link' })
  const chat = await send(`${facts}/messages`, {
    ...{ event: 'message', content: 'Howdy @Ben, see http://x.example/ #hello', uuid: 'p34T15D6p7uI7I2J' },
  })
  const comment = await send(`${facts}/messages/${chat.id}/comments`, {
    event: 'comment',
    content: 'A comment',
  })
  const status = await send(`${facts}/messages`, { event: 'status', content: 'Having lunch' })
  const png = await sharp({ create: { width: 3, height: 2, channels: 3, background: 'teal' } })
    .png()
    .toBuffer()
  const content = { data: png.toString('base64'), content_type: 'image/png', file_name: 'shot.png' }
  const file = await send(`${facts}/messages`, { event: 'file', content })
  const source = await send(`${facts}/sources`, { name: 'Lunch', external_url: 'https://example.com/lunch' })
  const present = (more: object) =>
    call(
      `${backend.url}/messages`,
      'POST',
      { 'x-flowdock-wait-for-message': 'true' },
      {
        flow_token: source.flow_token,
        author: { name: 'Marty', avatar: 'https://example.com/m.png' },
        external_thread_id: '1234567',
        ...more,
      },
    ).then(({ json }) => json)
  const activity = await present({
    event: 'activity',
    title: 'updated ticket',
    thread: {
      title: 'Polish the flux capacitor',
      fields: [{ label: 'Dustiness', value: '5 - severe' }],
      body: 'It is <b>dusty</b>',
      external_url: 'https://example.com/tickets/1234567',
      status: { color: 'green', value: 'open' },
    },
  })
  const discussion = await present({ event: 'discussion', title: 'commented', body: 'A searchable remark' })
  const invitation = await send(`${facts}/invitations`, { email: 'p@example.com' })
  const privateMessage = await send('/private/2/messages', { event: 'message', content: 'hello' })
  const privateFile = await send('/private/2/messages', { event: 'file', content })
  const conversation = (await ada('GET', '/private/2')).json
  const { json: flow } = await ada('GET', `/flows/find?id=${id}`)

  return {
    backend,
    ...{ flow, chat, comment, status, file, activity, discussion, source, invitation },
    ...{ privateMessage, privateFile, conversation },
    async call({ as = 'Ada', method = 'GET', path, body, headers = {} }) {
      const authorization = as === 'nobody' ? undefined : basic(await backend.token(as))
      const all = { ...(authorization === undefined ? {} : { authorization }), ...headers }
      return method === 'GET' && body !== undefined
        ? getWithBody(backend.url + path, all, body)
        : call(backend.url + path, method, all, body)
    },
    close: backend.close,
  }
}

/** `fetch` sends no body with GET; real clients do. */
async function getWithBody(url: string, headers: Record<string, string>, body: unknown): Promise<Answer> {
  const { request } = await import('node:http')
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          ...headers,
        },
      },
      async (response) => {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk as Buffer)
        const answer = Buffer.concat(chunks).toString()
        resolve({
          status: response.statusCode ?? 0,
          headers: new Headers(response.headers as Record<string, string>),
          text: answer,
          json: answer.startsWith('{') || answer.startsWith('[') ? JSON.parse(answer) : undefined,
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(text)
  })
}

/** One test for each fact, named by its section of the reference. */
export function testFacts(world: () => World, list: readonly Fact[]): void {
  test.each(list.map((fact) => [fact.ref, fact.fact, fact] as const))('%s: %s', async (_, __, fact) => {
    const there = world()
    const answer = fact.request && (await there.call(fact.request(there)))
    if (fact.status !== undefined) expect(answer?.status, answer?.text).toBe(fact.status)
    if (fact.json !== undefined) expect(answer?.json).toMatchObject(fact.json(there) as object)
    if (fact.text !== undefined) expect(answer?.text).toBe(fact.text)
    for (const [name, expected] of Object.entries(fact.headers ?? {})) {
      const given = answer?.headers.get(name) ?? null
      if (expected instanceof RegExp) expect(given).toMatch(expected)
      else expect(given).toBe(expected)
    }
    await fact.check?.(there, answer)
  })
}
