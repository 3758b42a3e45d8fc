import { randomBytes } from 'node:crypto'
import { fileBody, jsonBody, type RequestBody } from './query-client.ts'
import { sizes } from './stack-data.ts'

/** What the contenders are asked. Those with the gateway's schema get the same text. */
export interface Question {
  readonly name: string
  readonly title: string
  readonly body: RequestBody
  /** What PostGraphile is asked, whose schema follows from the tables. Without it, PostGraphile is not asked. */
  readonly postgraphile?: string
  /** Principals that may ask, at most. */
  readonly members: number
  /** Messages that are sent to the flow meanwhile. */
  readonly written?: { readonly flow: string; readonly eachSecond: number }
  /** Connections at most. */
  readonly connections?: number
}

const messages = 'nodes { author { name } thread { title } ... on ChatMessage { content } }'
const nested = (flow: string) =>
  `{ flow(by: { path: "acme/${flow}" }) { name messages(last: 100) { ${messages} } } }`
const nestedInTables = (flow: string) =>
  `{ flow: flowByOrganizationAndSlug(organization: "acme", slug: "${flow}") { name messages(last: 100) { nodes { author { name } thread { title } content } } } }`
const widget = (flow: string, more = '') =>
  `${flow}: flow(by: { path: "acme/${flow}" }) { name unreadMentions messages(last: 10) { nodes { author { name } ... on ChatMessage { content } } } ${more}}`
const listOfFlows = '{ flows(first: 20) { nodes { name } } }'
const everyone = sizes.huge

export const questions: readonly Question[] = [
  {
    name: 'static',
    title: '{ __typename }',
    body: jsonBody('{ __typename }'),
    postgraphile: '{ __typename }',
    members: everyone,
  },
  {
    name: 'viewer',
    title: 'viewer',
    body: jsonBody('{ viewer { name email } }'),
    members: everyone,
  },
  {
    name: 'flows',
    title: 'list of flows',
    body: jsonBody(listOfFlows),
    postgraphile: '{ flows: allFlows(first: 20, orderBy: [ORGANIZATION_ASC, SLUG_ASC]) { nodes { name } } }',
    members: everyone,
  },
  ...(['small', 'large', 'huge'] as const).map((flow) => ({
    name: `nested-${sizes[flow]}`,
    title: `flow → 100 messages → author, thread; ${sizes[flow].toLocaleString('en')} people in the flow`,
    body: jsonBody(nested(flow)),
    postgraphile: nestedInTables(flow),
    members: sizes[flow],
  })),
  {
    name: 'search',
    title: 'search',
    body: jsonBody(
      '{ search(text: "word17", last: 20) { nodes { author { name } ... on ChatMessage { content } } } }',
    ),
    members: everyone,
  },
  {
    name: 'dashboard',
    title: 'a dashboard of six widgets',
    body: jsonBody(
      `{ viewer { name } organizations(first: 5) { nodes { name userCount } } flows(first: 5) { nodes { name unreadMentions } } ${widget('large', 'threads(first: 5) { nodes { title } } ')} ${widget('huge')} }`,
    ),
    members: sizes.large,
  },
  {
    name: 'written',
    title:
      'flow → 100 messages → author, thread; 500 people in the flow, while ten messages a second are sent to it',
    body: jsonBody(nested('large')),
    postgraphile: nestedInTables('large'),
    members: sizes.large,
    written: { flow: 'large', eachSecond: 10 },
  },
  {
    name: 'send',
    title: 'send a message',
    body: jsonBody(
      'mutation { sendMessage(input: { flow: { path: "acme/large" }, content: "A message without tags, sent by the benchmark" }) { ... on SendMessagePayload { sentMessage { databaseId event ... on ChatMessage { content } } } } }',
    ),
    members: sizes.large,
  },
  {
    name: 'upload',
    title: 'upload 1 MB',
    body: fileBody(
      'mutation ($file: Upload!) { uploadFile(input: { flow: { path: "acme/large" }, file: $file }) { ... on UploadFilePayload { uploadedMessage { databaseId event } } } }',
      randomBytes(1_000_000),
    ),
    members: sizes.large,
    connections: 8,
  },
]
