/*
 * Calls to the REST API of the embedded backend, as someone would write them by hand who knows it well: as few and as small as the
 * documented API permits. `calls` remembers nothing between requests. `cached` remembers names for ten seconds, and pages of
 * messages for as long as the backend says that they are unchanged.
 */
import { Agent } from 'undici'

const namesMs = 10_000
/** As many authors are read one by one; for more, all users of the flow: a user costs the backend 0.1 ms, 500 of a flow 1.2 ms. */
const maxSingleReads = 12

/** @returns a function that makes the calls of a request from its credential */
export function openCalls(origin, kind) {
  const agent = new Agent({ connections: 128, pipelining: 1 })
  const remembers = kind === 'cached'
  const names = new Map()
  const pages = new Map()
  const flowNames = new Map()

  const request = (authorization, path, options) =>
    agent.request({
      origin,
      path,
      method: 'GET',
      ...options,
      headers: { authorization, ...options?.headers },
    })

  async function read(response, expected = 200) {
    if (response.statusCode !== expected)
      throw new Error(`The backend answered ${response.statusCode}: ${await response.body.text()}`)
    return response.body.json()
  }

  const fresh = (map, key) => {
    const entry = map.get(key)
    return entry !== undefined && entry.until > Date.now() ? entry.value : undefined
  }
  const remember = (map, key, value) => {
    if (remembers) map.set(key, { value, until: Date.now() + namesMs })
  }

  return (authorization) => {
    const get = async (path) => read(await request(authorization, path))

    /** The users with these ids. @param path a flow that they are in; undefined where there are several */
    async function authors(ids, path) {
      const found = new Map()
      const missing = new Set()
      for (const id of ids) {
        const author = fresh(names, id)
        if (author === undefined) missing.add(id)
        else found.set(id, author)
      }
      const add = ({ id, name }) => {
        const author = { name }
        found.set(String(id), author)
        remember(names, String(id), author)
      }
      if (path !== undefined && missing.size > maxSingleReads)
        for (const user of await get(`/flows/${path}/users`)) add(user)
      else for (const user of await Promise.all([...missing].map((id) => get(`/users/${id}`)))) add(user)
      return found
    }

    const decode = ({ id, event, content, thread, user }, users) => ({
      ...{ databaseId: id, event, content, thread },
      author: users.get(user),
    })

    async function messages(path, last) {
      const key = `${path} ${last}`
      const page = fresh(pages, key)
      const response = await request(
        authorization,
        `/flows/${path}/messages?limit=${last}`,
        page === undefined ? undefined : { headers: { 'Flowdock-Page': page.version } },
      )
      if (response.statusCode === 304) {
        await response.body.dump()
        return page.nodes
      }
      const list = await read(response)
      const users = await authors(new Set(list.map(({ user }) => user)), path)
      const nodes = list.map((message) => decode(message, users))
      const version = response.headers['flowdock-page']
      if (version !== undefined) remember(pages, key, { version, nodes })
      return nodes
    }

    return {
      viewer: () => get('/user'),
      organizations: () => get('/organizations'),
      /** Ordered by path. */
      async flows() {
        return (await get('/flows')).sort((a, b) => (a.url < b.url ? -1 : 1))
      },
      threads: (path, first) => get(`/flows/${path}/threads?limit=${first}`),

      /** @param options `last`: so many messages are read beside it; `isOfViewer`: a remembered flow is not enough */
      async flow(path, { last, isOfViewer }) {
        const started = last === undefined ? undefined : messages(path, last)
        const name = isOfViewer || started === undefined ? undefined : fresh(flowNames, path)
        const [flow] = await Promise.all([
          name === undefined ? get(`/flows/find?id=${path}&users=0`) : { name },
          // This call fails where the principal is no member.
          started,
        ])
        remember(flowNames, path, flow.name)
        return { name: flow.name, unread_mentions: flow.unread_mentions, path, messages: started }
      },

      messages,

      async search(text, last) {
        const list = await get(`/search?search=${encodeURIComponent(text)}&limit=${last}`)
        const users = await authors(new Set(list.map(({ user }) => user)))
        return list.map((message) => decode(message, users))
      },

      async send(path, content) {
        const response = await request(authorization, `/flows/${path}/messages`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ event: 'message', content }),
        })
        return decode(await read(response, 201), new Map())
      },

      /** @param file `type`, `name` and an iterable of bytes as `stream` */
      async upload(path, { type, name, stream }) {
        const boundary = 'boundary-of-the-bench'
        async function* body() {
          yield `--${boundary}\r\ncontent-disposition: form-data; name="event"\r\n\r\nfile\r\n`
          yield `--${boundary}\r\ncontent-disposition: form-data; name="content"; filename="${name}"\r\ncontent-type: ${type}\r\n\r\n`
          yield* stream
          yield `\r\n--${boundary}--\r\n`
        }
        const response = await request(authorization, `/flows/${path}/messages`, {
          method: 'POST',
          headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
          body: body(),
        })
        return decode(await read(response, 201), new Map())
      },
    }
  }
}
