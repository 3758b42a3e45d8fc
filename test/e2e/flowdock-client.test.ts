import { createRequire } from 'node:module'
import { expect, onTestFinished, test } from 'vitest'
import { openSubscription, post, socketClient } from '../support/app.ts'
import { makeFolder } from '../support/backend.ts'
import { run, runGateway } from '../support/process.ts'

/** The vendor's client in a process of its own, as bots run it: commands come in and answers go out as lines. */
const bot = `
const { Session } = require(${JSON.stringify(createRequire(import.meta.url).resolve('flowdock'))})
const session = new Session(process.env.TOKEN)
const print = (type, value) => console.log(JSON.stringify({ type, value }))
session.on('error', (error) => print('error', String(error)))
session.flows((error, flows) => {
  print('flows', flows.map((flow) => ({ id: flow.id, slug: flow.parameterized_name, nicks: flow.users.map((user) => user.nick) })))
  const main = flows.find((flow) => flow.parameterized_name === 'main')
  const stream = session.stream(main.id, { active: 'idle', user: 1 })
  stream.on('connected', () => {
    print('connected', null)
    session.message(main.id, 'posted by the bot', ['from-bot'], (failure, message) => print('posted', message))
  })
  stream.on('message', (message) => print('heard', { event: message.event, content: message.content, user: message.user }))
  stream.on('error', (error) => print('error', String(error)))
})
`

test('the official client lists flows, receives the message of a mutation, and posts a message that a subscription receives', async () => {
  const gateway = await runGateway(await makeFolder())
  const client = socketClient(gateway.url, gateway.token)
  const live = openSubscription(
    client,
    'subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) { ... on MessageAdded { message { tags ... on ChatMessage { content } } } } }',
  )
  onTestFinished(live.close)
  // The client says that its user is there, which the flow hears of, too.
  const nextMessage = async () => {
    for (;;) {
      const message = (await live.next())?.data.flowEvents.message
      if (message !== undefined) return message
    }
  }
  const heardByGateway = nextMessage()

  const running = run(['--no-deprecation', '-e', bot], {
    TOKEN: gateway.token,
    FLOWDOCK_API_URL: gateway.restUrl,
    FLOWDOCK_STREAM_URL: gateway.streamUrl,
  })
  const line = async (pattern: string) =>
    JSON.parse((await running.until(new RegExp(`^\\{"type":"${pattern}.*$`, 'm')))[0]).value
  const flows = await line('flows"')
  expect(flows).toContainEqual({
    id: expect.any(String),
    slug: 'main',
    nicks: ['Ada', 'Ben', 'Cleo', 'Dina', 'Emil'],
  })
  await line('connected"')
  expect(await line('posted"')).toMatchObject({
    content: 'posted by the bot',
    tags: ['from-bot'],
    thread: { title: 'posted by the bot' },
  })
  expect(await heardByGateway).toEqual({
    content: 'posted by the bot',
    tags: ['from-bot'],
  })

  const sent = await post(
    gateway.url,
    {
      query:
        'mutation { sendMessage(input: { flow: { path: "example/main" }, content: "sent by a mutation" }) { __typename } }',
    },
    gateway.token,
  )
  expect(sent.data.sendMessage.__typename).toBe('SendMessagePayload')
  expect(await line('heard","value":\\{"event":"message","content":"sent by a mutation"')).toMatchObject({
    user: '1',
  })
  expect(running.output.stdout).not.toContain('"type":"error"')
})
