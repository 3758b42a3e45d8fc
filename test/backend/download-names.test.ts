import { parse } from 'content-disposition'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'

/*
 * How downloads are named. [spec] RFC 6266: a name in ASCII, and for others beside it an extended one. [spec] RFC 8187: what of
 * that is not a letter, a digit or one of a few marks is encoded; libraries refuse the header else, as Go's mime does for "(".
 */

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

/** [spec] RFC 8187, 3.2.1: `ext-value` */
const extended = /^UTF-8'[\w-]*'(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+$/
/** [spec] RFC 9110, 5.6.4 `quoted-string` and 5.6.2 `token`, in ASCII */
const plain = /^(?:"(?:[\t !#-[\]-~]|\\["\\])*"|[!#$%&'*+.^_`|~0-9A-Za-z-]+)$/

test.each([
  ['report.pdf', 'report.pdf'],
  ["Ada's report (1)*.pdf", "Ada's report (1)*.pdf"],
  ['50%41.txt', '50%41.txt'],
  ['a;b, "c".txt', 'a;b, "c".txt'],
  ['résumé (2).pdf', 'r?sum? (2).pdf'],
  ['設計 😀.png', undefined],
  ['half \ud83d.txt', undefined],
])('"%s" is parsed as what it is', async (name, fallback) => {
  const content = { data: btoa('x'), content_type: 'text/plain', file_name: name }
  const sent = await app.backend.as('Ada')('POST', '/flows/example/main/messages', { event: 'file', content })
  expect(sent.status).toBe(201)
  const { path, file_name: stored } = sent.json.content
  expect(stored).toBe(name.toWellFormed())
  const { headers } = await app.backend.as('Ada')('GET', path)
  const answer = await fetch(headers.get('location') ?? '')
  const header = answer.headers.get('content-disposition') ?? ''

  expect(parse(header)).toMatchObject({ type: 'inline', parameters: { filename: stored } })
  const [, ascii] = /; filename=("(?:[^"\\]|\\.)*"|[^;]*)/.exec(header) ?? []
  expect(ascii).toMatch(plain)
  if (fallback !== undefined) expect(parse(header, { extended: false }).parameters['filename']).toBe(fallback)
  const [, encoded] = /; filename\*=([^;]*)/.exec(header) ?? []
  if (encoded !== undefined) expect(encoded).toMatch(extended)
  if (/[^ -~]/.test(stored)) expect(encoded).toBeDefined()
})
