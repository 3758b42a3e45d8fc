/* Tailcall: a gateway in native code, which answers by its configuration alone. This process becomes it. */
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const [upstream = ''] = process.argv.slice(2)
const free = createServer().listen(0, '127.0.0.1')
await once(free, 'listening')
const { port } = free.address()
free.close()
await once(free, 'close')

const config = join(mkdtempSync(join(tmpdir(), 'tailcall-')), 'gateway.graphql')
const http = (path, query = '') => `@http(url: "${upstream}${path}"${query}, dedupe: true)`
writeFileSync(
  config,
  `
  schema
    @server(port: ${port}, hostname: "127.0.0.1", workers: 1)
    @upstream(allowedHeaders: ["authorization"]) { query: Query }
  type Query {
    flow(path: String!): Flow ${http('/flows/{{.args.path}}')}
  }
  type Flow {
    name: String!
    parameterized_name: String!
    messages(last: Int!): [Message!] ${http(
      '/flows/acme/{{.value.parameterized_name}}/messages',
      ', query: [{ key: "limit", value: "{{.args.last}}" }]',
    )}
  }
  type Message {
    content: String
    user: String!
    thread_id: String!
    author: Author ${http('/users/{{.value.user}}')}
    thread: Thread ${http('/flows/acme/f1/threads/{{.value.thread_id}}')}
  }
  type Author { name: String! }
  type Thread { title: String }
`,
)
const folder = dirname(createRequire(import.meta.url).resolve('@tailcallhq/core-linux-x64-gnu/package.json'))
process.execve(join(folder, 'bin/tailcall'), ['tailcall', 'start', config], { ...process.env, NO_COLOR: '1' })
