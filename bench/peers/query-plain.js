/*
 * No GraphQL at all. `naive` answers what the nested query asks for with a call for each author and thread; `lean` with
 * the two calls that are enough; `proxy` hands one REST answer on; `static` answers the same bytes always.
 */
import { createServer } from 'node:http'
import { openUpstream } from './upstream.js'

const [upstream = '', kind = 'naive', fixed = ''] = process.argv.slice(2)
const get = openUpstream(upstream)
const fixedBytes = Buffer.from(fixed.startsWith('{') ? fixed : 'x'.repeat(Number(fixed)))

async function naive(authorization) {
  const path = '/flows/acme/f1'
  const { name } = await (await get(path, authorization)).json()
  const messages = await (await get(`${path}/messages?limit=100`, authorization)).json()
  const reads = new Map()
  const once = (address) => {
    if (!reads.has(address))
      reads.set(
        address,
        get(address, authorization).then((body) => body.json()),
      )
    return reads.get(address)
  }
  const nodes = await Promise.all(
    messages.map(async ({ content, user, thread_id }) => ({
      author: { name: (await once(`/users/${user}`)).name },
      thread: { title: (await once(`${path}/threads/${thread_id}`)).title },
      content,
    })),
  )
  return { data: { flow: { name, messages: { nodes } } } }
}

async function lean(authorization) {
  const path = '/flows/acme/f1'
  const [flow, messages] = await Promise.all(
    [path, `${path}/messages?limit=100`].map(async (each) => (await get(each, authorization)).json()),
  )
  const names = new Map(flow.users.map(({ id, name }) => [String(id), name]))
  const nodes = messages.map(({ content, user, thread }) => ({
    author: { name: names.get(user) },
    thread: { title: thread.title },
    content,
  }))
  return { data: { flow: { name: flow.name, messages: { nodes } } } }
}

const answers = {
  naive: async (authorization) => Buffer.from(JSON.stringify(await naive(authorization))),
  lean: async (authorization) => Buffer.from(JSON.stringify(await lean(authorization))),
  proxy: async (authorization) => Buffer.from(await (await get('/flows', authorization)).arrayBuffer()),
  static: async () => fixedBytes,
}
const answer = answers[kind]

const server = createServer((request, response) => {
  request.resume()
  request.on('end', async () => {
    const bytes = await answer(request.headers.authorization)
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length })
    response.end(bytes)
  })
}).listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`))
