import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'

let app: TestApp

// Protections are on as they are for people, but that some of the audit asks for the schema.
beforeAll(async () => {
  app = await startTestApp({
    settings: {
      NODE_ENV: 'production',
      INTROSPECTION: 'on',
      REQUESTS_PER_MINUTE: '6000',
      REQUESTS_PER_MINUTE_PER_IP: '30000',
    },
  })
})
afterAll(() => app.close())

/** Says the same as before, but so that the framework answers and not the direct path. */
const unusual: typeof fetch = (input, init) => {
  const headers = new Headers(init?.headers)
  const accept = headers.get('accept')
  headers.set('accept', accept === null ? '*/*;q=1' : accept.replaceAll(/(?<!q=[\d.]+)(?=,|$)/g, ';q=1'))
  return fetch(input, { ...init, headers })
}

describe.each([
  ['as usual clients ask', fetch],
  ['as others do', unusual],
])('the audit of GraphQL over HTTP, %s', (_, fetchFn) => {
  const audits = serverAudits({ url: () => `${app.url}/graphql`, fetchFn })

  test('has all its items', () => {
    expect(audits).toHaveLength(61)
  })

  test.each(audits.map(({ id, name, fn }) => ({ id, name, fn })))('$id $name', async ({ fn }) => {
    expect(await fn()).toMatchObject({ status: 'ok' })
  })
})
