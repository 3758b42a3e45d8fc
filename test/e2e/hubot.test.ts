import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { makeFolder, startTestBackend } from '../support/backend.ts'
import { run } from '../support/process.ts'

const script = `module.exports = (robot) => {
  robot.hear(/^ping (.*)/i, (response) => response.send('pong ' + response.match[1]))
  robot.respond(/whisper (.*)/i, (response) => response.send('heard ' + response.match[1]))
}`

test('Hubot works unchanged: it reads and answers in flows, threads and private conversations, and joins flows that it is added to', async () => {
  const backend = await startTestBackend({ keepAliveMs: 100 })
  onTestFinished(backend.close)
  const scripts = await makeFolder()
  await writeFile(join(scripts, 'ping.js'), script)
  const hubot = run(
    [
      '--no-deprecation',
      'node_modules/.bin/coffee',
      'node_modules/hubot/bin/hubot',
      '-a',
      'flowdock',
      '--name',
      'Cleo',
      '-r',
      scripts,
      '--disable-httpd',
    ],
    {
      HUBOT_FLOWDOCK_API_TOKEN: await backend.token('Cleo'),
      FLOWDOCK_API_URL: backend.url,
      FLOWDOCK_STREAM_URL: `${backend.url}/stream/flows`,
    },
  )
  const ada = backend.as('Ada')
  const say = async (path: string, content: string) =>
    (await ada('POST', `${path}/messages`, { event: 'message', content })).json
  const answer = async (path: string, content: string) => {
    const find = async () =>
      (await ada('GET', `${path}/messages?limit=5`)).json.find(
        (message: { content: unknown }) => message.content === content,
      )
    await eventually(async () => (await find()) !== undefined)
    return find()
  }

  await hubot.until(/listening to flows: Main, Support/)
  const first = await say('/flows/example/main', 'ping one')
  expect(await answer('/flows/example/main', 'pong one')).toMatchObject({
    user: '3',
    thread_id: first.thread_id,
  })
  await ada('POST', `/flows/example/main/threads/${first.thread_id}/messages`, {
    event: 'message',
    content: 'ping two',
  })
  expect(await answer('/flows/example/main', 'pong two')).toMatchObject({
    thread_id: first.thread_id,
    thread: { internal_comments: 4 },
  })
  await say('/private/3', 'whisper three')
  expect(await answer('/private/3', 'heard three')).toMatchObject({ user: '3', to: '1' })

  await ada('POST', '/flows/example', { name: 'Later' })
  await ada('POST', '/flows/example/later/users', { id: 3 })
  await hubot.until(/listening to flows: Main, Support, Later/)
  await say('/flows/example/later', 'ping four')
  expect(await answer('/flows/example/later', 'pong four')).toMatchObject({ user: '3' })
  await ada('PUT', '/flows/example/later/users/3', { disabled: true })
  await hubot.until(/Later[\s\S]*listening to flows: Main, Support\n/)
  await say('/flows/example/main', 'ping five')
  await answer('/flows/example/main', 'pong five')
  expect(hubot.child.exitCode).toBeNull()
})
