import type { ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { Secret } from '../../src/secret.ts'
import type { FlowEvent } from '../../src/upstream/flowdock/model.ts'
import { createServiceDirectory } from '../../src/upstream/flowdock/service-directory.ts'
import { decodeFrame } from '../../src/upstream/flowdock/service-frames.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

const acme = { id: 1, parameterized_name: 'acme', name: 'Acme' }

/** Users 1 to 9 are in the organization of the flow `a`, others in another. */
async function start(hold?: (response: ServerResponse, answer: () => void) => void) {
  const names = new Map<number, string>()
  const upstream = await startScriptedUpstream((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x')
    const ids = searchParams.get('ids')?.split(',') ?? []
    const users = ids.map(Number).flatMap((id) => {
      const name = names.get(id) ?? `User ${id}`
      const of = { disabled: false, organizations: [id < 10 ? 1 : 2] }
      return id < 100 ? [{ id, nick: name, name, email: '', avatar: '', website: null, ...of }] : []
    })
    const details = { last_message_at: '2026-01-01T00:00:00Z', last_message_id: 7 }
    const flows = ids.map((id) => ({ id, parameterized_name: id, name: id, organization: acme, ...details }))
    const body = pathname.endsWith('users') ? { at: 1, users } : { at: 1, flows }
    if (hold === undefined) answerJson(response, 200, body)
    else hold(response, () => answerJson(response, 200, body))
  })
  const http = createHttp({ deadlineMs: 2000, maxBytes: 1_000_000, connections: 4 })
  onTestFinished(() => http.close())
  const directory = createServiceDirectory({ http, restUrl: upstream.url, token: new Secret('token') })
  return { directory, upstream, names }
}

const message = (flowId: string | null) => ({ type: 'message', flowId }) as FlowEvent

function noteEdit(directory: Awaited<ReturnType<typeof start>>['directory'], user: number): void {
  const p = { event: 'user-edit', content: {}, user: String(user), flow: 'a', id: 1, sent: 1, tags: [] }
  const frame = decodeFrame('e', '5', JSON.stringify({ a: 'f:a', t: 0, p }))
  if (frame?.kind !== 'event') throw new Error('Expected an event')
  directory.note(frame)
}

test('users that are asked for in one turn are read at once, with the service token, and remembered', async () => {
  const { directory, upstream } = await start()
  const view = directory.viewOf(message('a'), undefined, false)
  const users = await Promise.all([1, 2, 1, 3].map((id) => view.user(id)))
  expect(users.map((user) => user?.name)).toEqual(['User 1', 'User 2', 'User 1', 'User 3'])
  const urls = () => upstream.requests.map(({ url }) => decodeURIComponent(url))
  expect(urls()).toEqual(['/service/v1/flows?ids=a', '/service/v1/users?ids=1,2,3'])
  expect(upstream.requests[0]?.headers.authorization).toBe('Bearer token')
  // Without a promise: it is there.
  expect(view.user(2)).toMatchObject({ name: 'User 2' })
  expect(urls()).toHaveLength(2)
})

test('an event of a flow shows the users of its organization; others and unknown ones are null', async () => {
  const { directory } = await start()
  const view = directory.viewOf(message('a'), undefined, false)
  expect(await view.user(12)).toBeNull()
  expect(await view.user(500)).toBeNull()
  expect(await view.flow('a')).toMatchObject({ path: 'acme/a' })
})

test('a private event shows the users of the organizations of its viewer, and the viewer', async () => {
  const { directory } = await start()
  const view = directory.viewOf(message(null), 12, true)
  expect(await view.user(12)).toMatchObject({ name: 'User 12' })
  expect(await view.user(13)).toMatchObject({ name: 'User 13' })
  expect(await view.user(1)).toBeNull()
  expect(directory.viewOf(message(null), undefined, false).user(1)).toBeUndefined()
})

test('a flow is only shown for an event that was sent to it, and not for the viewer alone', async () => {
  const { directory } = await start()
  expect(directory.viewOf(message('a'), 1, false).flow('b')).toBeUndefined()
  expect(directory.viewOf(message('a'), 1, true).flow('a')).toBeUndefined()
  const membership = { type: 'membership', flowId: 'a' } as FlowEvent
  expect(directory.viewOf(membership, 1, false).flow('a')).toBeUndefined()
})

test('a user is read again after an event that says that they changed, also while they are read', async () => {
  const answers: (() => void)[] = []
  const { directory, names } = await start((_, answer) => answers.push(answer))
  const view = directory.viewOf(message('a'), undefined, false)
  const release = async (count: number) => {
    while (answers.length < count) await new Promise(setImmediate)
    for (const answer of answers.splice(0)) answer()
  }
  const before = view.user(1)
  await release(1)
  while (answers.length < 1) await new Promise(setImmediate)
  // The response is on its way with the old name.
  noteEdit(directory, 1)
  names.set(1, 'Renamed')
  const after = view.user(1)
  await release(2)
  expect(await after).toMatchObject({ name: 'Renamed' })
  expect(await before).not.toBeNull()
  expect(view.user(1)).toMatchObject({ name: 'Renamed' })
})

test('control events say what has to be read again', async () => {
  const { directory, upstream } = await start()
  const view = directory.viewOf(message('a'), undefined, false)
  await view.user(1)
  for (const control of [
    { a: 'u:1', k: 'reach' },
    { a: 'f:a', k: 'flow' },
  ]) {
    const frame = decodeFrame('c', '5', JSON.stringify(control))
    if (frame?.kind === 'event') directory.note(frame)
    upstream.requests.length = 0
    await view.user(1)
    expect(upstream.requests).toHaveLength(1)
  }
})

test('a read that fails is tried again by whoever asks next', async () => {
  let isDown = true
  const { directory } = await start((response, answer) =>
    isDown ? void response.writeHead(500).end() : answer(),
  )
  const view = directory.viewOf(message('a'), undefined, false)
  await expect(view.flow('a')).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
  isDown = false
  expect(await view.flow('a')).toMatchObject({ name: 'a' })
})

test('what each message changes in a flow is not remembered, also if a backend of an earlier version sends it', async () => {
  const { directory } = await start()
  expect(await directory.reads.flow('a')).toMatchObject({ id: 'a', name: 'a', details: null })
  expect(await directory.viewOf(message('a'), undefined, false).flow('a')).toMatchObject({ details: null })
})
