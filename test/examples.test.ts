import { readdir, readFile } from 'node:fs/promises'
import { getOperationAST, parse } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, startTestApp, type TestApp } from './support/app.ts'

const folder = new URL('../examples/', import.meta.url)
const names = (await readdir(folder)).filter((name) => name.endsWith('.graphql')).sort()

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

test.each(names)('%s runs as it stands on the demo organization', async (name) => {
  const document = await readFile(new URL(name, folder), 'utf8')
  if (getOperationAST(parse(document))?.operation === 'subscription') {
    const subscription = await app.subscribe('Ada', document)
    const next = subscription.next()
    await eventually(() => app.calls.some(({ kind, status }) => kind === 'stream' && status === 200))
    await app.backend.as('Ben')('POST', '/flows/example/main/messages', {
      event: 'message',
      content: 'for the example',
    })
    expect(JSON.stringify(await next)).toContain('for the example')
    await subscription.close()
    return
  }
  const { data, errors } = await app.graphql('Ada', document)
  expect(errors).toBeUndefined()
  // An example that finds nothing shows nothing.
  expect(JSON.stringify(data)).not.toContain('"nodes":[]')
  expect(JSON.stringify(data).length).toBeGreaterThan(50)
})
