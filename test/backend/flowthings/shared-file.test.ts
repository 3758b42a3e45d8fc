import { expect, onTestFinished, test } from 'vitest'
import { makeFolder, startTestBackend } from '../../support/backend.ts'
import { run } from '../../support/process.ts'
import { createClient, startThings } from '../../support/things.ts'
import { openSocket } from '../../support/things-socket.ts'

test('drops of another process on the same file arrive, and its commands end sockets', async () => {
  const dataDir = await makeFolder()
  const things = await startThings({ dataDir })
  onTestFinished(things.close)
  const other = await startTestBackend({
    ...{ dataDir, demoOrganization: false },
    things: { port: 0, demoAccount: undefined, demoToken: undefined },
  })
  onTestFinished(other.close)
  const there = createClient(other.things?.url ?? '', 'alice', things.alice.token)
  const flow = (await there('POST', '/flow', { path: '/alice/sensors' })).body
  const listening = await openSocket(things.thingsUrl, things.alice)
  await listening.ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
  for (let n = 0; n < 20; n += 1)
    await (n % 2 === 0 ? there : things.alice)('POST', `/drop/${flow.id}`, { elems: { n } })
  await listening.until(20)
  expect(listening.events.map(({ value }) => value.elems.n.value)).toEqual(
    Array.from({ length: 20 }, (_, n) => n),
  )
  const command = run(['src/main.ts', 'account', 'token', '--name', 'alice'], { DATA_DIR: dataDir })
  expect(await command.exited).toBe(0)
  expect(await listening.closed).toBe(1008)
})
