import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { eventually, post, startTestApp, type TestApp } from '../support/app.ts'
import { serviceToken } from '../support/service-token.ts'

/* What the project's own backend can do is the same for all principals, so not every operation reads it. */

let app: TestApp
beforeEach(async () => {
  app = await startTestApp({
    backend: { serviceTokens: [serviceToken] },
    settings: { SERVICE_TOKEN: serviceToken },
  })
  onTestFinished(app.close)
})

const search = '{ search(text: "welcome") { nodes { id } } }'
const readsOf = () => app.calls.filter(({ url }) => url.endsWith('/capabilities')).length

async function warm(): Promise<void> {
  await eventually(async () => {
    app.calls.length = 0
    await app.graphql('Ada', search)
    return readsOf() === 0
  })
}

test('a search reads the capabilities of the backend once in ten seconds, for all principals', async () => {
  await warm()
  const { data } = await app.graphql('Ada', search)
  expect(data.search.nodes.length).toBeGreaterThan(0)
  expect(readsOf()).toBe(0)
})

test('a credential that is not valid is refused as before', async () => {
  await warm()
  for (const query of [search, '{ capabilities }']) {
    const { errors } = await post(app.url, { query }, 'f'.repeat(32))
    expect(errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
  }
})

test('the field capabilities always reads them', async () => {
  await warm()
  await app.graphql('Ada', '{ capabilities }')
  expect(readsOf()).toBe(1)
})
