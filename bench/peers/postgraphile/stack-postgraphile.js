/* PostGraphile on views of the embedded backend's tables. The views check the token of the request, unless there is no need to. */
import { hash } from 'node:crypto'
import { createServer } from 'node:http'
import { postgraphile } from 'postgraphile'
import { makePgService } from 'postgraphile/adaptors/pg'
import { grafserv } from 'postgraphile/grafserv/node'
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber'

const [connectionString = '', schema = 'api'] = process.argv.slice(2)

/** The credential as the backend stores it. */
function tokenHash(authorization = '') {
  const [token] = Buffer.from(authorization.slice('Basic '.length), 'base64').toString().split(':')
  return hash('sha256', token, 'base64url')
}

const pgl = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString, schemas: [schema], poolConfig: { max: 32 } })],
  grafserv: { graphiql: false, watch: false },
  grafast: {
    explain: false,
    ...(schema === 'api'
      ? {
          context: ({ node }) => ({
            pgSettings: { 'flowdock.token_hash': tokenHash(node?.req.headers.authorization) },
          }),
        }
      : {}),
  },
})
const server = createServer()
await pgl.createServ(grafserv).addTo(server)
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`))
