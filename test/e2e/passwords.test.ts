import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { hashPassword } from '../../src/backend/flowdock/auth.ts'
import { openStore } from '../../src/backend/store/db.ts'
import { readConfig } from '../../src/config.ts'
import { makeFolder } from '../support/backend.ts'

test('who guesses a password through the gateway does not shut its owner out', async () => {
  const dataDir = await makeFolder()
  const app = await startApp(
    readConfig({
      ...{ PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'silent' },
      ...{ TRUSTED_PROXIES: '1' },
    }),
  )
  onTestFinished(app.close)
  const store = await openStore(join(dataDir, 'flowdock.db'))
  const hash = await hashPassword('open sesame')
  await store.write((db) =>
    db.updateTable('users').set({ password_hash: hash }).where('id', '=', 2).execute(),
  )
  await store.close()

  /** The code of the error, or the nick. */
  const ask = async (password: string, address: string) => {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-forwarded-for': address,
        authorization: `Basic ${Buffer.from(`ben@example.com:${password}`).toString('base64')}`,
      },
      body: JSON.stringify({ query: '{ viewer { nick } }' }),
    })
    const { data, errors } = (await response.json()) as {
      data: { viewer: { nick: string } } | null
      errors?: [{ extensions: { code: string } }]
    }
    return errors?.[0].extensions.code ?? data?.viewer.nick
  }

  for (let turn = 0; turn < 10; turn += 1) expect(await ask('guess', '1.1.1.1')).toBe('UNAUTHENTICATED')
  expect(await ask('guess', '1.1.1.1')).toBe('RATE_LIMITED')
  expect(await ask('open sesame', '1.1.1.1')).toBe('RATE_LIMITED')
  expect(await ask('open sesame', '2.2.2.2')).toBe('Ben')
  // An address that claims to be another's does not spend that one's attempts at the backend itself.
  const direct = await fetch(`${app.restUrl}/user`, {
    headers: {
      'x-gateway-client': '2.2.2.2',
      'x-gateway-key': 'x',
      authorization: `Basic ${Buffer.from('ben@example.com:guess').toString('base64')}`,
    },
  })
  expect(direct.status).toBe(401)
})

test('the metrics say how often the backend was started again', async () => {
  const app = await startApp(
    readConfig({ PORT: '0', BACKEND_PORT: '0', DATA_DIR: await makeFolder(), LOG_LEVEL: 'silent' }),
  )
  onTestFinished(app.close)
  expect(app.state().backendRestarts).toBe(0)
  expect(await (await fetch(`${app.url}/metrics`)).text()).toContain(
    'flowdock_gateway_backend_restarts_total 0',
  )
})
