import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { basic, type Nick } from '../../support/backend.ts'
import { openRawStream } from '../../support/stream.ts'
import { facts, type Json, makeWorld, type World } from './facts.ts'

let world: World & { close(): Promise<void> }

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

async function open(path: string, headers: Record<string, string> = {}, nick: Nick = 'Ada') {
  const authorization = basic(await world.backend.token(nick))
  const stream = await openRawStream(world.backend.url + path, { authorization, ...headers })
  onTestFinished(stream.close)
  return stream
}
const sse = { accept: 'text/event-stream' }
const flow = '/stream/flows/example/facts'
const call = (as: Nick, method: string, path: string, body?: unknown) =>
  world.call({ as, method, path, body })
const say = (content: string) => call('Ben', 'POST', `${facts}/messages`, { event: 'message', content })
const edited = () => `${facts}/messages/${world.chat.id}`

describe('§15.1: a stream is asked for by', () => {
  test.each<[string, () => string]>([
    ['its path', () => flow],
    ['the path of a flow in filter', () => '/stream/flows?filter=example/facts'],
    ['its id in filter', () => `/stream/flows?filter=${world.flow.id}`],
    ['both, with a comma', () => `/stream/flows?filter=example/main,${world.flow.id}`],
    ['both, with an encoded comma', () => `/stream/flows?filter=example%2Fmain%2C${world.flow.id}`],
    ['an old id with a colon', () => '/stream/flows?filter=example%3Afacts'],
    ['a slash behind flows', () => '/stream/flows/?filter=example/facts'],
  ])('%s', async (name, path) => {
    const stream = await open(path())
    expect(stream.status).toBe(200)
    await stream.until(/^\n/)
    await say(`asked for by ${name}`)
    await stream.until(new RegExp(`asked for by ${name}`))
  })

  test('a host that begins with stream., at the root', async () => {
    const stream = await open('/flows?filter=example/facts', { host: 'stream.example.test' })
    await stream.until(/^\n/)
    await say('at the root')
    await stream.until(/at the root/)
  })

  test('accept in the query in place of the header', async () => {
    expect((await open(`${flow}?accept=text/event-stream`)).headers['content-type']).toMatch(/event-stream/)
  })

  test.each([
    ['Text/Event-Stream; charset=utf-8', 'text/event-stream'],
    ['text/event-stream, application/json;q=0.5', 'text/event-stream'],
    ['application/json, text/event-stream;q=0.1', 'application/json'],
    ['text/event-stream;q=0', 'application/json'],
    ['*/*', 'application/json'],
  ])('Accept: %s is %s', async (accept, type) => {
    expect((await open(flow, { accept })).headers['content-type']).toContain(type)
  })
})

describe('§15.1: a stream is refused', () => {
  test.each<[string, string, Nick, number]>([
    ['with neither filter nor user', '/stream/flows', 'Ada', 400],
    ['for a flow one is not in', '/stream/flows?filter=example/facts', 'Cleo', 403],
    ['as a whole for one of several', '/stream/flows?filter=example/main,example/facts', 'Cleo', 403],
    ['for a flow that is not there', '/stream/flows?filter=example/nothing', 'Ada', 404],
  ])('%s', async (_, path, nick, status) => {
    expect((await open(path, {}, nick)).status).toBe(status)
  })

  test('to no user', async () => {
    expect((await open(flow, { authorization: 'Basic eDp5' })).status).toBe(401)
  })
})

describe('§15.2 to §15.4: on the wire', () => {
  test('§15.2: JSON says so and is not cached', async () => {
    const { headers } = await open(flow)
    expect(headers['content-type']).toMatch(/^application\/json/)
    expect(headers['cache-control']).toMatch(/no-(cache|store)/)
    expect(headers['transfer-encoding']).toBe('chunked')
  })

  test('§15.3: one object in each line, ended by CR LF, with lone line feeds between', async () => {
    const stream = await open(flow)
    await stream.until(/^\n/)
    await say('one')
    await say('two')
    const text = await stream.until(/"two"[^\n]*\r\n\n/)
    for (const line of text.split('\r\n'))
      if (line.trim() !== '') expect(() => JSON.parse(line)).not.toThrow()
    expect(text).not.toContain('\r\n\r\n')
  })

  test('§15.3: a carriage return never stands inside an object', async () => {
    const stream = await open(flow)
    await stream.until(/^\n/)
    await say('with\r\nbreaks')
    const text = await stream.until(/breaks[^\n]*\r\n/)
    expect(text.replaceAll('\r\n', '')).not.toContain('\r')
  })

  test('§15.4: an id and one line of data; no event, no retry', async () => {
    const stream = await open(flow, sse)
    await stream.until(/^:/)
    await say('in SSE')
    const text = await stream.until(/in SSE.*\n\n/)
    expect(text).toMatch(/\nid: \d+\ndata: \{.*\}\n\n/)
    expect(text).not.toMatch(/^(event|retry):/m)
  })

  test('§15.4: comments keep it alive', async () => {
    await (await open(flow, sse)).until(/^:\n:\n/)
  })
})

/** What a stream of the flow, and of the user, is sent next of an event. */
async function told(event: string, act: () => Promise<unknown>, nick: Nick = 'Ada'): Promise<Json> {
  const stream = await open('/stream/flows?filter=example/main&user=1', {}, nick)
  const facts = nick === 'Cleo' ? stream : await open(flow, {}, nick)
  await Promise.all([stream.until(/^\n/), facts.until(/^\n/)])
  await act()
  const pattern = new RegExp(`"event":"${event}"[^\\n]*\\r\\n`)
  const text = await Promise.race([stream.until(pattern), facts.until(pattern)])
  const line = text.split('\n').find((each) => each.includes(`"event":"${event}"`))
  return JSON.parse(line ?? '')
}

describe('what happens is delivered', () => {
  test('a tag-change, with what came and went, by who did it', async () => {
    const event = await told('tag-change', () => call('Ben', 'PUT', edited(), { tags: ['foo'] }))
    expect(event).toMatchObject({
      app: null,
      uuid: null,
      user: '2',
      content: { message: world.chat.id, add: ['foo'] },
    })
    expect(event.content.remove).toContain('hello')
    expect(event.id).toBeGreaterThan(world.chat.id)
  })
  test('a message-edit, with the new content', async () => {
    const event = await told('message-edit', () => call('Ada', 'PUT', edited(), { content: 'foo bar' }))
    expect(event).toMatchObject({
      uuid: null,
      content: { message: world.chat.id, updated_content: 'foo bar' },
    })
  })
  test('a message-edit of a comment, with title and text', async () => {
    const path = `${facts}/messages/${world.comment.id}`
    const event = await told('message-edit', () => call('Ada', 'PUT', path, { content: 'better' }))
    expect(event.content.updated_content).toMatchObject({ text: 'better', title: expect.any(String) })
  })
  test('a message-delete', async () => {
    const path = `${facts}/messages/${world.discussion.id}`
    const event = await told('message-delete', () => call('Ada', 'DELETE', path))
    expect(event.content).toEqual({ message: world.discussion.id })
  })
  test('an emoji-reaction', async () => {
    const event = await told('emoji-reaction', () =>
      call('Ben', 'POST', `${edited()}/emoji_reaction`, { type: 'add', emoji: 'tada' }),
    )
    expect(event.content).toEqual({ message: world.chat.id, type: 'add', emoji: 'tada' })
  })
  test('a user-edit', async () => {
    const event = await told('user-edit', () => call('Ben', 'PUT', '/users/2', { nick: 'Benny' }))
    expect(event).toMatchObject({ user: '2', content: { user: { id: 2, nick: 'Benny' } } })
    await call('Ben', 'PUT', '/users/2', { nick: 'Ben' })
  })
  test('a message in a thread embeds the thread as it is now', async () => {
    const event = await told('message', () =>
      call('Ben', 'POST', `${facts}/threads/${world.chat.thread_id}/messages`, {
        event: 'message',
        content: 'x',
      }),
    )
    expect(event.thread).toMatchObject({ id: world.chat.thread_id, internal_comments: 3 })
  })
  test('one’s own messages, too', async () => {
    const event = await told('message', () =>
      call('Ada', 'POST', `${facts}/messages`, { event: 'message', content: 'mine', uuid: 'my-own' }),
    )
    expect(event).toMatchObject({ uuid: 'my-own', user: '1' })
  })
  test('a private message, with user=1', async () => {
    const event = await told('message', () =>
      call('Ben', 'POST', '/private/1/messages', { event: 'message', content: 'psst' }),
    )
    expect(event).toMatchObject({ to: '1', user: '2', tags: [':unread:1'] })
    expect(event).not.toHaveProperty('flow')
  })
  test('flow-add, in a minimal envelope with a number for the user', async () => {
    const event = await told('flow-add', () => call('Ada', 'POST', `${facts}/users`, { id: 3 }), 'Cleo')
    expect(event).toEqual({
      user: 3,
      event: 'flow-add',
      content: { id: world.flow.id, name: 'Facts', organization: 'Example', open: true },
    })
  })
  test('backend.user.block, with the id as text, and flow-remove', async () => {
    const block = () => call('Ada', 'PUT', `${facts}/users/3`, { disabled: true })
    expect(await told('backend.user.block', block)).toMatchObject({ user: '1', content: '3' })
    await call('Ada', 'PUT', `${facts}/users/3`, { disabled: false })
    expect(await told('flow-remove', block, 'Cleo')).toEqual({
      user: 3,
      event: 'flow-remove',
      content: { id: world.flow.id },
    })
  })
  test('backend.user.join, by who joined', async () => {
    const join = () => call('Ada', 'PUT', `${facts}/users/3`, { disabled: false })
    expect(await told('backend.user.join', join)).toMatchObject({
      user: '3',
      content: { user: { id: 3, nick: 'Cleo' } },
    })
  })
})

describe('what users do is an action', () => {
  const action = (type: string) =>
    call('Ada', 'GET', `${facts}/messages?event=action&limit=100`).then(({ json }) =>
      json.findLast(({ content }: Json) => content.type === type),
    )
  test('add_people, with their nicks', async () => {
    expect(await action('add_people')).toMatchObject({
      app: 'chat',
      user: '1',
      content: { description: 'Cleo' },
    })
  })
  test('block, with the user', async () => {
    expect(await action('block')).toMatchObject({ content: { description: { user: 3 } } })
  })
  test('invite, with the address', async () => {
    expect(await action('invite')).toMatchObject({ content: { description: { email: 'p@example.com' } } })
  })
  test('uninvite', async () => {
    await call('Ada', 'DELETE', `${facts}/invitations/${world.invitation.id}`)
    expect(await action('uninvite')).toMatchObject({ content: { description: { email: 'p@example.com' } } })
  })
  test('decline, by whom it was for', async () => {
    const { json: engineering } = await call('Ada', 'GET', '/flows/example/engineering')
    await world.backend.store.write((db) =>
      db
        .insertInto('invitations')
        .values({
          ...{ flow_id: engineering.id, email: 'Cleo@example.com', state: 'pending' },
          ...{ inviter_id: 1, created_at: 0 },
        })
        .execute(),
    )
    const { json } = await call('Ada', 'GET', '/flows/example/engineering/invitations')
    const declined = await call('Cleo', 'DELETE', `/flows/example/engineering/invitations/${json[0].id}`)
    expect(declined.status).toBe(204)
    const { json: list } = await call(
      'Ada',
      'GET',
      '/flows/example/engineering/messages?event=action&limit=1',
    )
    expect(list[0]).toMatchObject({ user: '3', content: { type: 'decline' } })
  })
  test('join, by who joined', async () => {
    await call('Cleo', 'PUT', '/flows/example/engineering', { open: true })
    const { json } = await call('Ada', 'GET', '/flows/example/engineering/messages?event=action&limit=1')
    expect(json[0]).toMatchObject({ user: '3', content: { type: 'join' } })
  })
})
