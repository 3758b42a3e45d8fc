import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestBackend, type TestBackend } from '../support/backend.ts'

let backend: TestBackend
let ada: ReturnType<TestBackend['as']>
let ben: ReturnType<TestBackend['as']>
let cleo: ReturnType<TestBackend['as']>

beforeAll(async () => {
  backend = await startTestBackend()
  ada = backend.as('Ada')
  ben = backend.as('Ben')
  cleo = backend.as('Cleo')
})
afterAll(() => backend.close())

/** A flow that only this test writes to, with everybody in it. */
async function newFlow(name: string): Promise<string> {
  const { json } = await ada('POST', '/flows/example', { name })
  for (const id of [2, 3]) await ada('POST', `/flows/example/${json.parameterized_name}/users`, { id })
  return `/flows/example/${json.parameterized_name}`
}

describe('sending', () => {
  test('of messages that are sent at once each is found by its words, and the newest is the last one of the flow', async () => {
    const flow = await newFlow('at once')
    const words = Array.from({ length: 20 }, (_, index) => `giraffe${index}`)
    const sent = await Promise.all(
      words.map((content) => ada('POST', `${flow}/messages`, { event: 'message', content })),
    )
    const ids = sent.map(({ json }) => json.id)
    for (const [index, word] of words.entries()) {
      const { json } = await ben('GET', `${flow}/messages?search=${word}`)
      expect(json.map(({ id }: { id: number }) => id)).toEqual([ids[index]])
    }
    const { json } = await ben('GET', flow)
    expect(json).toMatchObject({ last_message_id: Math.max(...ids) })
    const me = json.users.find(({ nick }: { nick: string }) => nick === 'Ada')
    expect(me.last_activity).toBe(sent.find(({ json }) => json.id === Math.max(...ids))?.json.sent)
  })

  test('answers 201 with the whole message, which opens a thread of its own', async () => {
    const flow = await newFlow('sending')
    const { status, json } = await ada('POST', `${flow}/messages`, {
      event: 'message',
      content: 'Howdy',
      uuid: 'my-1',
    })
    expect(status).toBe(201)
    expect(json).toMatchObject({
      event: 'message',
      content: 'Howdy',
      uuid: 'my-1',
      user: '1',
      app: 'chat',
      attachments: [],
      tags: [],
      thread: {
        title: 'Howdy',
        internal_comments: 1,
        initial_message: json.id,
        activities: 0,
        external_comments: 0,
      },
    })
    expect(json.thread_id).toMatch(/^[\w-]{27}$/)
    expect(json.thread.created_at).toBe(json.sent)
    expect(Date.parse(json.created_at)).toBe(json.sent)
  })

  test('works on all three paths, into a thread where one is named', async () => {
    const flow = await newFlow('paths')
    const { json: info } = await ada('GET', flow)
    const first = await ada('POST', '/messages', { flow: info.id, event: 'message', content: 'by id' })
    const reply = await ben('POST', `${flow}/threads/${first.json.thread_id}/messages`, {
      event: 'message',
      content: 'reply',
    })
    const byPath = await cleo('POST', '/messages', {
      flow: 'example/paths',
      event: 'message',
      content: 'by path',
      thread_id: first.json.thread_id,
    })
    expect([first.status, reply.status, byPath.status]).toEqual([201, 201, 201])
    expect(byPath.json.thread).toMatchObject({
      id: first.json.thread_id,
      internal_comments: 3,
      initial_message: first.json.id,
    })
  })

  test('the same uuid from the same sender is one message, also at the same time', async () => {
    const flow = await newFlow('once')
    const message = { event: 'message', content: 'once', uuid: 'same' }
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ada('POST', `${flow}/messages`, message)),
    )
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1)
    const { json } = await ada('GET', `${flow}/messages?event=message`)
    expect(json).toHaveLength(1)
  })

  test('a comment carries the title of its parent and the tag that names it', async () => {
    const flow = await newFlow('comments')
    const parent = await ada('POST', `${flow}/messages`, { event: 'message', content: 'parent' })
    const comment = await ben('POST', `${flow}/messages/${parent.json.id}/comments`, { content: 'a comment' })
    expect(comment.json).toMatchObject({
      event: 'comment',
      content: { title: 'parent', text: 'a comment' },
      tags: [`influx:${parent.json.id}`],
      thread_id: parent.json.thread_id,
    })
    const nested = await ada('POST', '/comments', {
      flow: comment.json.flow,
      message: comment.json.id,
      content: 'no',
    })
    expect(nested).toMatchObject({
      status: 400,
      json: { errors: { message: ['must not be a comment itself'] } },
    })
  })

  test('a status becomes the status of its sender in that flow', async () => {
    const flow = await newFlow('status')
    await ben('POST', `${flow}/messages`, { event: 'status', content: 'At lunch' })
    const { json } = await ada('GET', `${flow}/users`)
    expect(json.find((user: { nick: string }) => user.nick === 'Ben').status).toBe('At lunch')
  })

  test('explicit tags come first, then those of the text, each once', async () => {
    const flow = await newFlow('tags')
    const content = '@team, ref here: http://docs.python.org'
    const { json } = await ada('POST', `${flow}/messages`, {
      event: 'message',
      content,
      tags: ['ref', 'ref'],
    })
    expect(json.tags).toEqual(['ref', ':user:team', ':url'])
  })

  test('null for a field that may be left out is the same as leaving it out', async () => {
    const flow = await newFlow('nulls')
    const body = {
      event: 'message',
      content: 'x',
      tags: null,
      thread_id: null,
      uuid: null,
      external_user_name: null,
    }
    expect((await ada('POST', `${flow}/messages`, body)).status).toBe(201)
  })

  test.each([
    ['no event', { content: 'x' }, { event: ["can't be blank"] }],
    [
      'an event nobody may send',
      { event: 'tag-change', content: 'x' },
      { event: ['must be one of message, comment, status, line, file, mail'] },
    ],
    ['blank content', { event: 'message', content: ' \n' }, { content: ["can't be blank"] }],
    [
      '8,097 characters',
      { event: 'message', content: 'x'.repeat(8097) },
      { content: ['is too long: 8097 characters, at most 8096 are stored'] },
    ],
    [
      'an external name with a space',
      { event: 'message', content: 'x', external_user_name: 'a b' },
      { external_user_name: ['should not contain whitespace'] },
    ],
    [
      'a thread of another flow',
      { event: 'message', content: 'x', thread_id: 'elsewhere' },
      { thread_id: ['is not a thread of this flow'] },
    ],
  ])('refuses %s and stores nothing', async (_, body, errors) => {
    const flow = '/flows/example/main'
    const before = await ada('GET', `${flow}/messages?limit=100`)
    const refused = await ada('POST', `${flow}/messages`, body)
    expect(refused).toMatchObject({ status: 400, json: { message: 'Validation error', errors } })
    expect((await ada('GET', `${flow}/messages?limit=100`)).json).toEqual(before.json)
  })

  test('accepts 8,096 characters', async () => {
    const flow = await newFlow('long')
    expect(
      (await ada('POST', `${flow}/messages`, { event: 'message', content: 'x'.repeat(8096) })).status,
    ).toBe(201)
  })

  test('takes parameters from the query, a form, and JSON without a content type', async () => {
    const flow = await newFlow('forms')
    const authorization = `Basic ${btoa(await backend.token('Ada'))}`
    const url = `${backend.url}${flow}/messages`
    const send = (address: string, body?: string, type?: string) =>
      fetch(address, {
        method: 'POST',
        headers: { authorization, ...(type === undefined ? {} : { 'content-type': type }) },
        ...(body === undefined ? {} : { body: new Blob([body]) }),
      })
    expect((await send(`${url}?event=message&content=query`)).status).toBe(201)
    expect(
      (await send(url, 'event=message&content=a+form&tags=a,b', 'application/x-www-form-urlencoded')).status,
    ).toBe(201)
    expect((await send(url, '{"event":"message","content":"bare json"}')).status).toBe(201)
    const { json } = await ada('GET', `${flow}/messages?event=message`)
    expect(json.map((message: { content: string }) => message.content)).toEqual([
      'query',
      'a form',
      'bare json',
    ])
    expect(json[1].tags).toEqual(['a', 'b'])
  })
})

describe('listing', () => {
  test('browses by id and kind, exactly as observed on the service', async () => {
    const flow = await newFlow('browse')
    const file = {
      event: 'file',
      content: { data: btoa('hello'), content_type: 'text/plain', file_name: 'README.rst' },
    }
    const ids: number[] = []
    for (const body of [file, file, file, { event: 'message', content: 'file_path' }, file])
      ids.push((await ada('POST', `${flow}/messages`, body)).json.id)
    const list = async (query: string) => {
      const { json } = await ada('GET', `${flow}/messages?${query}`)
      return json.map(({ id }: { id: number }) => ids.indexOf(id) + 1)
    }
    expect(await list(`since_id=${ids[0]}`)).toEqual([2, 3, 4, 5])
    expect(await list(`since_id=${ids[0]}&until_id=${ids[4]}`)).toEqual([2, 3, 4])
    expect(await list(`event=file&since_id=${ids[0]}`)).toEqual([2, 3, 5])
    expect(await list(`event=file&since_id=${ids[0]}&limit=1`)).toEqual([5])
    expect(await list(`event=file&since_id=${ids[0]}&limit=1&sort=asc`)).toEqual([2])
  })

  test('searches words and tags united, exactly as observed on the service', async () => {
    const flow = await newFlow('search')
    await ada('POST', `${flow}/messages`, { event: 'message', content: '1. a keyword' })
    await ada('POST', `${flow}/messages`, { event: 'message', content: '2. keywords', tags: ['A'] })
    await ada('POST', `${flow}/messages`, { event: 'message', content: '3. more keywords', tags: ['A', 'B'] })
    const list = async (conditions: object) => {
      // The Python wrapper sends conditions as a JSON body on GET, which `fetch` refuses to do.
      const { json } = await getWithBody(
        `${backend.url}${flow}/messages`,
        await backend.token('Ada'),
        conditions,
      )
      return json.map(({ content }: { content: string }) => Number(content[0]))
    }
    expect(await list({ search: 'keyword' })).toEqual([1])
    expect(await list({ search: 'KEYWORDS more' })).toEqual([3])
    expect(await list({ tags: ['A', 'B'] })).toEqual([3])
    expect(await list({ tags: 'a,b' })).toEqual([3])
    expect(await list({ tags: ['A', 'B'], tag_mode: 'or' })).toEqual([2, 3])
    const union = { search: 'keyword', tags: ['A', 'B'], tag_mode: 'or' }
    expect(await list(union)).toEqual([1, 2, 3])
    expect(await list({ ...union, skip: 1 })).toEqual([1, 2])
    expect(await list({ ...union, limit: 1 })).toEqual([3])
    expect(await list({ ...union, skip: 1, limit: 1 })).toEqual([2])
  })

  test('finds mentions, files and links by tag, and Chinese by the character', async () => {
    const flow = await newFlow('find')
    await ada('POST', `${flow}/messages`, { event: 'message', content: 'hello @Ben' })
    await ada('POST', `${flow}/messages`, { event: 'message', content: 'see example.com 漢字' })
    const found = async (query: string) => (await ada('GET', `${flow}/messages?${query}`)).json.length
    expect(await found('tags=@ben')).toBe(1)
    expect(await found('tags=:user:2')).toBe(1)
    expect(await found('tags=@nobody')).toBe(0)
    expect(await found('tags=:url')).toBe(1)
    expect(await found(`search=${encodeURIComponent('漢')}`)).toBe(1)
    expect(await found(`search=${encodeURIComponent('"*"')}`)).toBe(0)
  })

  test('accepts a limit of 1 to 100; 30 is the default', async () => {
    const flow = await newFlow('limits')
    await Promise.all(
      Array.from({ length: 105 }, (_, index) =>
        ada('POST', `${flow}/messages`, { event: 'message', content: `${index}` }),
      ),
    )
    const count = async (query: string) =>
      (await ada('GET', `${flow}/messages?event=message&${query}`)).json.length
    expect([await count(''), await count('limit=1000'), await count('limit=0')]).toEqual([30, 100, 1])
    expect((await ada('GET', `${flow}/messages?limit=many`)).status).toBe(400)
  })

  test('lists changes of messages only when they are requested', async () => {
    const flow = await newFlow('changes')
    const { json } = await ada('POST', `${flow}/messages`, { event: 'message', content: 'x' })
    await ada('PUT', `${flow}/messages/${json.id}`, { tags: ['new'] })
    expect((await ada('GET', `${flow}/messages?since_id=${json.id}`)).json).toEqual([])
    expect((await ada('GET', `${flow}/messages?event=tag-change`)).json).toMatchObject([
      { content: { message: json.id, add: ['new'], remove: [] }, user: '1', app: null },
    ])
  })
})

describe('editing', () => {
  test('changes one’s own content and answers {}', async () => {
    const flow = await newFlow('edit')
    const { json } = await ada('POST', `${flow}/messages`, { event: 'message', content: 'a message #old' })
    const edit = await ada('PUT', `${flow}/messages/${json.id}`, { content: 'an edit message #new' })
    expect(edit).toMatchObject({ status: 200, text: '{}' })
    const after = await ada('GET', `${flow}/messages/${json.id}`)
    expect(after.json).toMatchObject({
      content: 'an edit message #new',
      tags: ['new'],
      edited: expect.any(Number),
    })
    expect((await ada('GET', `${flow}/messages?search=edit`)).json).toHaveLength(1)
    expect((await ada('GET', `${flow}/messages?tags=old`)).json).toHaveLength(0)
  })

  test('replaces the tags of anybody’s message, in order, without doubles', async () => {
    const flow = await newFlow('retag')
    const { json } = await ada('POST', `${flow}/messages`, { event: 'message', content: 'x' })
    const tags = ['ref', ':user:team', 'important', ':url', 'ref']
    expect((await ben('PUT', `${flow}/messages/${json.id}`, { tags })).status).toBe(200)
    expect((await ada('GET', `${flow}/messages/${json.id}`)).json.tags).toEqual(tags.slice(0, 4))
  })

  test('is refused for the content of another user, and nothing changes', async () => {
    const flow = await newFlow('foreign')
    const { json } = await ada('POST', `${flow}/messages`, { event: 'message', content: 'mine' })
    const refused = await ben('PUT', `${flow}/messages/${json.id}`, { content: 'yours', tags: ['t'] })
    expect(refused).toMatchObject({ status: 403, text: '{"message":"Access denied"}' })
    expect((await ada('GET', `${flow}/messages/${json.id}`)).json).toMatchObject({
      content: 'mine',
      tags: [],
    })
  })

  test('answers 404 for a message that is not there, 400 for blank content', async () => {
    const flow = await newFlow('missing')
    const { json } = await ada('POST', `${flow}/messages`, { event: 'message', content: 'x' })
    expect(await ada('PUT', `${flow}/messages/999`, { content: 'x' })).toMatchObject({
      status: 404,
      text: '{"message":"not found"}',
    })
    expect((await ada('PUT', `${flow}/messages/${json.id}`, { content: '' })).status).toBe(400)
  })
})

describe('deleting', () => {
  test('one’s own message stays with blank content', async () => {
    const flow = await newFlow('delete')
    const { json } = await ada('POST', `${flow}/messages`, { event: 'message', content: 'gone soon' })
    expect(await ada('DELETE', `${flow}/messages/${json.id}`)).toMatchObject({ status: 200, text: '{}' })
    expect((await ada('GET', `${flow}/messages/${json.id}`)).json.content).toBe('')
    expect((await ada('GET', `${flow}/messages?search=soon`)).json).toEqual([])
  })

  test('one’s own file goes: 204 without a body, then 404', async () => {
    const flow = await newFlow('delete files')
    const content = { data: btoa('x'), content_type: 'text/plain', file_name: 'x.txt' }
    const { json } = await ada('POST', `${flow}/messages`, { event: 'file', content })
    expect(await ben('DELETE', `${flow}/messages/${json.id}`)).toMatchObject({ status: 403 })
    expect(await ada('DELETE', `${flow}/messages/${json.id}`)).toMatchObject({ status: 204, text: '' })
    expect(await ada('GET', `${flow}/messages/${json.id}`)).toMatchObject({
      status: 404,
      text: '{"message":"not found"}',
    })
  })

  test('any user can delete an inbox message, and its thread stays readable', async () => {
    const flow = '/flows/example/engineering'
    const { json } = await ada('GET', `${flow}/messages?event=discussion`)
    const [discussion] = json
    expect((await ben('DELETE', `${flow}/messages/${discussion.id}`)).status).toBe(204)
    expect((await ada('GET', `${flow}/messages/${discussion.id}`)).status).toBe(404)
    const thread = await ada('GET', `${flow}/threads/${discussion.thread_id}`)
    expect(thread.json).toMatchObject({ external_comments: 0, initial_message: null })
  })

  test('anything else is denied', async () => {
    const flow = await newFlow('denied')
    const { json } = await ada('POST', `${flow}/messages`, { event: 'message', content: 'x' })
    const status = await ben('POST', `${flow}/messages`, { event: 'status', content: 'busy' })
    expect((await ben('DELETE', `${flow}/messages/${json.id}`)).status).toBe(403)
    expect((await ben('DELETE', `${flow}/messages/${status.json.id}`)).status).toBe(403)
    expect((await ben('DELETE', `${flow}/messages/12345`)).status).toBe(404)
  })
})

describe('integrations', () => {
  test('a flow token presents an item: 202 and {} without the wait header, the message with it', async () => {
    const { json: flow } = await ada('GET', '/flows/example/engineering')
    const flowToken = await sourceToken(flow.id)
    const item = {
      flow_token: flowToken,
      event: 'activity',
      author: { name: 'Marty' },
      title: 'updated ticket',
      external_thread_id: '1234567',
      thread: {
        title: 'Polish',
        fields: [{ label: 'Dust', value: '5' }],
        status: { color: 'green', value: 'open' },
      },
    }
    expect(await send(item)).toMatchObject({ status: 202, text: '{}' })
    const waited = await send(
      {
        flow_token: flowToken,
        event: 'discussion',
        author: { name: 'Marty' },
        title: 'commented',
        body: 'The comment',
        external_thread_id: '1234567',
      },
      { 'x-flowdock-wait-for-message': 'true' },
    )
    expect(waited).toMatchObject({
      status: 201,
      json: {
        event: 'discussion',
        user: '0',
        app: 'influx',
        content: null,
        body: 'The comment',
        thread: { title: 'Polish', activities: 1, external_comments: 1 },
      },
    })
    const bad = await send({ ...item, thread: { title: 'x', status: { color: 'pink', value: '' } } })
    expect(bad.json.errors.thread[0]).toContain(
      'red, green, yellow, cyan, orange, grey, black, lime, purple, blue',
    )
    expect((await send({ ...item, flow_token: '0'.repeat(32) })).text).toBe('{"message":"not found"}')
  })

  async function send(body: object, headers: Record<string, string> = {}) {
    const response = await fetch(`${backend.url}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    const text = await response.text()
    return { status: response.status, text, json: JSON.parse(text) }
  }

  async function sourceToken(flowId: string): Promise<string> {
    const { makeToken } = await import('../../src/backend/flowdock/auth.ts')
    const { hashToken } = await import('../../src/backend/token-hash.ts')
    const { insertSource } = await import('../../src/backend/store/sources.ts')
    const token = makeToken()
    await backend.store.write((db) =>
      insertSource(db, {
        flow_id: flowId,
        application_id: 1,
        creator_id: 1,
        name: 'CI',
        external_url: null,
        token_hash: hashToken(token),
      }),
    )
    return token
  }
})

describe('files', () => {
  test('download by exactly one redirect, to an address that needs no credential', async () => {
    const flow = await newFlow('files')
    const content = {
      data: btoa('<script>alert(1)</script>'),
      content_type: 'text/html',
      file_name: 'a "b".html',
    }
    const { json } = await ada('POST', `${flow}/messages`, { event: 'file', content })
    expect(json).toMatchObject({
      tags: [':file'],
      content: { file_size: 25, content_type: 'text/html' },
      attachments: [{ path: json.content.path }],
    })
    const redirect = await ada('GET', `/${json.content.path}`)
    expect(redirect.status).toBe(302)
    const file = await fetch(redirect.headers.get('location') ?? '')
    expect(await file.text()).toBe('<script>alert(1)</script>')
    expect(file.headers.get('content-disposition')).toMatch(/^attachment/)
    expect(file.headers.get('x-content-type-options')).toBe('nosniff')
    const forged = (redirect.headers.get('location') ?? '').replace(
      /signature=(.)/,
      (_, first: string) => `signature=${first === '_' ? '-' : '_'}`,
    )
    expect((await fetch(forged)).status).toBe(403)
    const { json: secret } = await ada('POST', '/flows/example', { name: 'Secret' })
    const hidden = await ada('POST', `/flows/example/${secret.parameterized_name}/messages`, {
      event: 'file',
      content,
    })
    expect((await ben('GET', hidden.json.content.path)).status).toBe(404)
  })
})

/** GET with a JSON body, as some clients send it. */
async function getWithBody(
  url: string,
  token: string,
  body: object,
): Promise<{ json: { content: string }[] }> {
  const { request } = await import('node:http')
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
    request(url, { method: 'GET', auth: `${token}:`, headers }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      resolve({ json: JSON.parse(Buffer.concat(chunks).toString()) })
    })
      .on('error', reject)
      .end(text)
  })
}
