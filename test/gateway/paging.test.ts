import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'

/*
 * Whatever the size of its pages, and while messages come and go, a list read page by page is the list read at once.
 */

let app: TestApp
let flows = 0

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

interface Page {
  readonly edges: readonly { readonly cursor: string; readonly node: { readonly id: string } }[]
  readonly pageInfo: {
    readonly hasNextPage: boolean
    readonly hasPreviousPage: boolean
    readonly startCursor: string | null
    readonly endCursor: string | null
  }
}

async function read(path: string, field: string, args: string): Promise<Page> {
  const { data, errors } = await app.graphql(
    'Ada',
    `query ($path: String!) { flow(by: { path: $path }) { ${field}(${args}) { edges { cursor node { id } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`,
    { path },
  )
  expect(errors).toBeUndefined()
  return data.flow[field]
}

const ids = ({ edges }: Page) => edges.map(({ node }) => node.id)

/** Reads a whole list in pages, forward or backward. @param between runs after each page */
async function readAll(
  path: string,
  field: string,
  { size, forward }: { size: number; forward: boolean },
  between: (seen: readonly string[]) => Promise<void> = async () => undefined,
): Promise<string[]> {
  const seen: string[] = []
  let cursor: string | null = null
  for (let pages = 0; pages < 200; pages += 1) {
    const place: string = cursor === null ? '' : `, ${forward ? 'after' : 'before'}: "${cursor}"`
    const page = await read(path, field, `${forward ? 'first' : 'last'}: ${size}${place}`)
    expect(page.edges.length).toBeLessThanOrEqual(size)
    if (forward) seen.push(...ids(page))
    else seen.unshift(...ids(page))
    cursor = forward ? page.pageInfo.endCursor : page.pageInfo.startCursor
    const goesOn = forward ? page.pageInfo.hasNextPage : page.pageInfo.hasPreviousPage
    expect(page.edges.at(forward ? -1 : 0)?.cursor ?? null).toBe(cursor)
    if (!goesOn) return seen
    expect(cursor).not.toBeNull()
    await between(seen)
  }
  throw new Error('The list has no end')
}

async function makeFlow(messages: number): Promise<string> {
  const ada = app.backend.as('Ada')
  flows += 1
  const path = `example/paged-${flows}`
  await ada('POST', '/flows/example', { name: `Paged ${flows}` })
  for (let index = 0; index < messages; index += 1) await say(path, `message ${index}`)
  return path
}

async function say(path: string, content: string): Promise<number> {
  const { json } = await app.backend.as('Ada')('POST', `/flows/${path}/messages`, {
    event: 'message',
    content,
  })
  return json.id
}

const pages = fc.record({ size: fc.integer({ min: 1, max: 40 }), forward: fc.boolean() })

describe.each(['messages', 'threads'])('%s', (field) => {
  test('in pages of any size, from either end, are the list read at once', async () => {
    const path = await makeFlow(37)
    const whole = ids(await read(path, field, 'first: 100'))
    expect(whole.length).toBeGreaterThanOrEqual(37)
    await fc.assert(
      fc.asyncProperty(pages, async (page) => {
        expect(await readAll(path, field, page)).toEqual(whole)
      }),
      { numRuns: 25 },
    )
  })
})

test('messages that come and go meanwhile move nothing: what was there all the time is read once, in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      pages,
      fc.array(fc.constantFrom('add', 'remove', 'nothing'), { minLength: 1, maxLength: 6 }),
      async (page, happenings) => {
        const path = await makeFlow(12)
        const content = { data: btoa('x'), content_type: 'text/plain', file_name: 'a.txt' }
        // Files go whole when they are deleted; the text of messages only is emptied.
        const removable: { id: number }[] = []
        for (let index = 0; index < 6; index += 1)
          removable.push(
            (await app.backend.as('Ada')('POST', `/flows/${path}/messages`, { event: 'file', content })).json,
          )
        const before = ids(await read(path, 'messages', 'first: 100'))
        let turn = 0
        const seen = await readAll(path, 'messages', page, async () => {
          const happening = happenings[turn % happenings.length]
          turn += 1
          if (turn > 8) return
          if (happening === 'add') await say(path, 'meanwhile')
          const gone = happening === 'remove' ? removable.pop() : undefined
          if (gone !== undefined) await app.backend.as('Ada')('DELETE', `/flows/${path}/messages/${gone.id}`)
        })
        const after = ids(await read(path, 'messages', 'first: 100'))
        const throughout = before.filter((id) => after.includes(id))
        expect(new Set(seen).size).toBe(seen.length)
        expect(seen.filter((id) => throughout.includes(id))).toEqual(throughout)
        const numbers = seen.map((id) =>
          Number(atob(id.replaceAll('-', '+').replaceAll('_', '/')).split(':').at(-1)),
        )
        expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
      },
    ),
    { numRuns: 12 },
  )
})

test.each([
  ['flows', 'path'],
  ['sources', 'id'],
  ['organizations', 'slug'],
  ['privateConversations', 'id'],
])('%s are read in pages, too', async (field, name) => {
  const ask = async (args: string) => {
    const { data, errors } = await app.graphql(
      'Ada',
      `{ ${field}${args} { nodes { ${name} } pageInfo { hasNextPage endCursor } } }`,
    )
    expect(errors).toBeUndefined()
    return data[field]
  }
  await app.backend.as('Ada')('GET', '/private/2')
  await app.backend.as('Ada')('GET', '/private/3')
  const whole = (await ask('')).nodes
  const seen: unknown[] = []
  for (let cursor = ''; ; ) {
    const page = await ask(`(first: 1${cursor})`)
    seen.push(...page.nodes)
    if (!page.pageInfo.hasNextPage) break
    cursor = `, after: "${page.pageInfo.endCursor}"`
  }
  expect(seen).toEqual(whole)
  expect(whole.length).toBeGreaterThan(0)
  const { errors } = await app.graphql('Ada', `{ ${field}(after: "nonsense") { nodes { ${name} } } }`)
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
})
