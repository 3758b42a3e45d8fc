import { type IncomingHttpHeaders, request } from 'node:http'
import { basic } from './backend.ts'

/*
 * Speaks to the API as the Python "flowdock-api-wrapper" does on the wire: conditions as a JSON body on GET, `null` for
 * what is not given, downloads with a doubled slash, and the exact statuses it asserts.
 */

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape, as in Python
type Json = any

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Channel {
  send(content: string, options?: { tags?: string[]; threadId?: string }): Promise<Json>
  show(id: number): Promise<Json>
  edit(id: number, content: string | null, tags?: string[]): Promise<void>
  delete(id: number): Promise<void>
  list(conditions?: object): Promise<Json[]>
  threads(conditions?: object): Promise<Json[]>
  upload(name: string, bytes: string): Promise<Json>
  download(path: string): Promise<string>
  thread(id: string): Channel
}

export function connect(url: string, token: string, path: string): Channel {
  const headers = { authorization: basic(token), 'content-type': 'application/json' }
  const call = (method: string, address: string, json?: object) => send(method, url + address, headers, json)

  return {
    async send(content, { tags, threadId } = {}) {
      const body = { event: 'message', content, tags: tags ?? null, thread_id: threadId ?? null }
      return expectJson(201, await call('POST', `${path}/messages`, body))
    },
    show: async (id) => expectJson(200, await call('GET', `${path}/messages/${id}`)),
    async edit(id, content, tags) {
      const answer = await call('PUT', `${path}/messages/${id}`, { content, tags: tags ?? null })
      if (JSON.stringify(expectJson(200, answer)) !== '{}') throw new Error('Expected nothing in the answer')
    },
    async delete(id) {
      const { status, body } = await call('DELETE', `${path}/messages/${id}`)
      const fine = (status === 200 && body.toString() === '{}') || (status === 204 && body.length === 0)
      if (!fine) throw new Error(`(${status}, ${body})`)
    },
    list: async (conditions = {}) => expectJson(200, await call('GET', `${path}/messages`, conditions)),
    threads: async (conditions = {}) => expectJson(200, await call('GET', `${path}/threads`, conditions)),
    async upload(name, bytes) {
      const form = new FormData()
      form.append('event', 'file')
      form.append('content', new Blob([bytes]), name)
      const { authorization } = headers
      const response = await fetch(`${url}${path}/messages`, {
        method: 'POST',
        headers: { authorization },
        body: form,
      })
      if (response.status !== 201) throw new Error(`(${response.status}, ${await response.text()})`)
      return response.json()
    },
    async download(filePath) {
      // The wrapper joins its base, which ends in a slash, and the path, which begins with one.
      const redirect = await send('GET', `${url}/${filePath}`, { authorization: headers.authorization })
      if (redirect.status !== 302) throw new Error(`Expected exactly one redirect, got ${redirect.status}`)
      const file = await send('GET', redirect.headers.location ?? '', {})
      if (file.status !== 200) throw new Error(`(${file.status}, ${file.body})`)
      return file.body.toString()
    },
    thread: (id) => connect(url, token, `${path}/threads/${id}`),
  }
}

/** Presents an activity, or with a body a discussion, on behalf of an integration. */
export async function present(
  url: string,
  flowToken: string,
  id: string,
  { author, title, body, thread }: { author: object; title: string; body?: string; thread?: object },
): Promise<void> {
  const answer = await send(
    'POST',
    `${url}/messages`,
    { 'content-type': 'application/json' },
    {
      flow_token: flowToken,
      event: body === undefined ? 'activity' : 'discussion',
      author,
      title,
      body: body ?? null,
      thread: thread ?? null,
      external_thread_id: id,
    },
  )
  if (JSON.stringify(expectJson(202, answer)) !== '{}') throw new Error('Expected nothing in the answer')
}

function expectJson(status: number, answer: Answer): Json {
  if (answer.status !== status) throw new Error(`(${answer.status}, ${answer.body})`)
  return JSON.parse(answer.body.toString())
}

function send(method: string, url: string, headers: Record<string, string>, json?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const text = json === undefined ? '' : JSON.stringify(json)
    const length = text === '' ? {} : { 'content-length': Buffer.byteLength(text) }
    request(url, { method, headers: { ...headers, ...length } }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
    })
      .on('error', reject)
      .end(text)
  })
}
