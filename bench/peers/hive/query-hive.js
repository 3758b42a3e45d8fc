/* Hive Gateway over a subgraph that Mesh makes of the REST API, as their documentation sets them up. */
import { createServer } from 'node:http'
import { createGatewayRuntime } from '@graphql-hive/gateway-runtime'
import { getComposedSchemaFromConfig } from '@graphql-mesh/compose-cli'
import { loadJSONSchemaSubgraph } from '@omnigraph/json-schema'

const [upstream = ''] = process.argv.slice(2)

const object = (title, ...names) => ({
  ...{ type: 'object', title },
  properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
})
const get = (field, path, responseSchema, argTypeMap) => ({
  ...{ type: 'Query', method: 'GET', field, path, responseSchema, argTypeMap },
})
const resolveTo = (field, required, args) =>
  `@resolveTo(sourceName: "flowdock", sourceTypeName: "Query", sourceFieldName: "${field}", requiredSelectionSet: "{ ${required} }", sourceArgs: ${args})`

const silent = () => undefined
const logger = {
  ...{ trace: silent, debug: silent, info: silent, log: silent, warn: silent, error: silent },
  child: () => logger,
}
const supergraph = await getComposedSchemaFromConfig(
  {
    subgraphs: [
      {
        sourceHandler: loadJSONSchemaSubgraph('flowdock', {
          endpoint: upstream,
          operationHeaders: { authorization: '{context.headers.authorization}' },
          operations: [
            get('flow', '/flows/{args.path}', object('Flow', 'name', 'parameterized_name')),
            get(
              'messages',
              '/flows/acme/{args.flow}/messages?limit={args.limit}',
              { type: 'array', title: 'Messages', items: object('Message', 'content', 'user', 'thread_id') },
              { limit: { type: 'integer' } },
            ),
            get('user', '/users/{args.id}', object('Author', 'name')),
            get('thread', '/flows/acme/f1/threads/{args.id}', object('Thread', 'title')),
          ],
        }),
      },
    ],
    additionalTypeDefs: `
      extend type Flow {
        messages(last: Int!): [Message]
          ${resolveTo('messages', 'parameterized_name', '{ flow: "{root.parameterized_name}", limit: "{args.last}" }')}
      }
      extend type Message {
        author: Author ${resolveTo('user', 'user', '{ id: "{root.user}" }')}
        thread: Thread ${resolveTo('thread', 'thread_id', '{ id: "{root.thread_id}" }')}
      }`,
  },
  logger,
)
const server = createServer(createGatewayRuntime({ supergraph, logging: false }))
server.listen(0, '127.0.0.1', () => process.stdout.write(`listening ${server.address().port}\n`))
