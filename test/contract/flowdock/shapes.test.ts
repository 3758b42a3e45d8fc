import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { facts, type Json, makeWorld, type World } from './facts.ts'

let world: World & { close(): Promise<void> }

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

const isInt = (value: unknown) => Number.isInteger(value)
const isText = (value: unknown) => typeof value === 'string'
const isBool = (value: unknown) => typeof value === 'boolean'
const isNull = (value: unknown) => value === null
const isAbsent = (value: unknown) => value === undefined
const isMs = (value: unknown) => isInt(value) && String(value).length === 13
const isIso = (value: unknown) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(String(value))
const isUrl = (value: unknown) => URL.canParse(String(value))
const isList = (value: unknown) => Array.isArray(value)
const equals = (expected: unknown) =>
  Object.assign((value: unknown) => value === expected, { shown: `${expected}` })
const matches = (pattern: RegExp) =>
  Object.assign((value: unknown) => pattern.test(String(value)), { shown: `${pattern}` })
const either = (one: Check, other: Check) => (value: unknown) => one(value) || other(value)

type Check = (value: unknown) => boolean
/** Section, field and what it is, with the sections' own words for it. */
type Field = [ref: string, field: string, what: string, check: Check]

const get = async (path: string): Promise<Json> => (await world.call({ path })).json

const shapes: [name: string, read: () => Promise<Json>, fields: Field[]][] = [
  [
    'an organization',
    () => get('/organizations/example'),
    [
      ['§4', 'id', 'an integer', isInt],
      ['§4', 'parameterized_name', 'its slug', equals('example')],
      ['§4', 'name', 'text', isText],
      ['§4', 'user_limit', 'an integer', isInt],
      ['§4', 'user_count', 'an integer', equals(3)],
      ['§4', 'active', 'a flag', isBool],
      ['§4', 'url', 'its address', matches(/\/organizations\/example$/)],
      ['§4', 'users', 'its members, as organizations.md shows them', isList],
      ['§4', 'subscription', 'no trial', (value) => (value as Json).trial === false],
    ],
  ],
  [
    'a user',
    () => get('/user'),
    [
      ['§5.1', 'id', 'an integer', isInt],
      ['§5.1', 'nick', 'text', isText],
      ['§5.1', 'email', 'text', isText],
      [
        '§5.1',
        'avatar',
        'an address that ends in a slash',
        (value) => isUrl(value) && String(value).endsWith('/'),
      ],
      ['§5.1', 'name', 'text', isText],
      ['§5.1', 'website', 'null or text', either(isNull, isText)],
      ['§5.1', 'first_name', 'gone since 2012', isAbsent],
    ],
  ],
  [
    'a user of an organization',
    async () => (await get('/organizations/example/users'))[0],
    [['§5.1', 'admin', 'a flag', isBool]],
  ],
  [
    'a user inside a flow',
    async () => (await get(facts)).users[0],
    [
      ['§5.1', 'status', 'null or text', either(isNull, isText)],
      ['§5.1', 'disabled', 'a flag', isBool],
      ['§5.1', 'last_activity', '13 digits', isMs],
      ['§5.1', 'last_ping', '13 digits', isMs],
      ['§5.1', 'in_flow', 'a flag, which hubot needs', equals(true)],
      ['§5.1', 'website', 'there, too', either(isNull, isText)],
      ['§5.1', 'admin', 'not there', isAbsent],
    ],
  ],
  [
    'a flow',
    () => get(facts),
    [
      ['§6.1', 'id', 'an opaque text', matches(/^[0-9a-f-]{36}$/)],
      ['§6.1', 'name', 'text', equals('Facts')],
      ['§6.1', 'parameterized_name', 'its slug', equals('facts')],
      ['§6.1', 'organization', 'an object since 2013', (value) => typeof value === 'object'],
      ['§20', 'unread_mentions', 'a number', isInt],
      ['§6.1', 'open', 'a flag', isBool],
      ['§6.1', 'joined', 'a flag', isBool],
      ['§6.1', 'url', 'its address', matches(/\/flows\/example\/facts$/)],
      ['§6.1', 'web_url', 'where people look at it', matches(/\/app\/example\/facts$/)],
      ['§6.1', 'join_url', '40 hex digits and the slug', matches(/\/invitations\/[0-9a-f]{40}-facts$/)],
      ['§6.1', 'access_mode', 'one of three', matches(/^(invitation|link|organization)$/)],
      ['§6.1', 'users', 'a list', isList],
      ['§6.1', 'description', 'text', isText],
      ['§6.1', 'email', 'its inbox', equals('facts@example.flowdock.com')],
      ['§6.1', 'api_token', '32 hex digits', matches(/^[0-9a-f]{32}$/)],
      ['§6.1', 'flow_admin', 'a flag', isBool],
      ['§6.1', 'last_message_at', 'ISO', isIso],
      ['§6.1', 'last_message_id', 'an integer', isInt],
      ['§6.1', 'team_notifications', 'a flag', isBool],
      ['§6.1', 'flow_groups', 'a list', isList],
    ],
  ],
  [
    'the organization inside a flow',
    async () => (await get(facts)).organization,
    [
      ['§4', 'id', 'an integer', isInt],
      ['§4', 'parameterized_name', 'its slug', equals('example')],
      ['§4', 'user_count', 'an integer', isInt],
    ],
  ],
  [
    'a chat message',
    () => get(`${facts}/messages/${world.chat.id}`),
    [
      ['§7.1', 'id', 'an integer', isInt],
      ['§7.1', 'event', 'what it is', equals('message')],
      ['§7.1', 'content', 'text', isText],
      ['§7.1', 'tags', 'a list', isList],
      ['§7.1', 'uuid', 'the client’s own', equals('p34T15D6p7uI7I2J')],
      ['§1.7', 'user', 'a text inside messages', equals('1')],
      ['§7.1', 'flow', 'the flow’s id', (value) => value === world.flow.id],
      ['§7.1', 'to', 'not in a flow', isAbsent],
      ['§7.1', 'sent', '13 digits', isMs],
      ['§7.1', 'created_at', 'ISO', isIso],
      ['§7.1', 'app', 'chat', equals('chat')],
      ['§7.1', 'attachments', 'a list', isList],
      ['§1.7', 'thread_id', '27 characters', matches(/^[\w-]{27}$/)],
      ['§7.1', 'thread', 'an object', (value) => typeof value === 'object'],
      ['§7.1', 'edited', 'null before an edit', isNull],
      ['§7.1', 'emojiReactions', 'an object', (value) => JSON.stringify(value) === '{}'],
      ['§7.1', 'external_user_name', 'not of a user’s own', isAbsent],
    ],
  ],
  [
    'the thread inside a chat message',
    async () => (await get(`${facts}/messages/${world.chat.id}`)).thread,
    [
      ['§7.2', 'title', 'the first message’s text', (value) => value === world.chat.content],
      ['§7.2', 'initial_message', 'the first message’s number', (value) => value === world.chat.id],
      ['§7.2', 'internal_comments', '1 and more: the first message counts', equals(2)],
      ['§7.2', 'external_comments', '0', equals(0)],
      ['§7.2', 'activities', '0', equals(0)],
      ['§7.2', 'body', 'blank', equals('')],
      ['§7.2', 'external_url', 'null', isNull],
      ['§7.2', 'status', 'null', isNull],
      ['§7.2', 'fields', 'an empty list', isList],
      ['§7.2', 'actions', 'an empty list', isList],
      ['§8.1', 'flow', 'the flow’s id', (value) => value === world.flow.id],
      ['§8.1', 'source', 'not of chat', isAbsent],
      ['§20', 'created_at', 'milliseconds inside a message', isMs],
      ['§7.2', 'updated_at', 'ISO', isIso],
    ],
  ],
  [
    'a thread by itself',
    () => get(`${facts}/threads/${world.activity.thread_id}`),
    [
      ['§20', 'created_at', 'ISO in the resource', isIso],
      ['§8.1', 'title', 'the integration’s', equals('Polish the flux capacitor')],
      ['§8.1', 'body', 'HTML', equals('It is <b>dusty</b>')],
      ['§8.1', 'external_url', 'the integration’s', equals('https://example.com/tickets/1234567')],
      [
        '§8.1',
        'status',
        'color and value',
        (value) => JSON.stringify(value) === '{"color":"green","value":"open"}',
      ],
      [
        '§8.1',
        'fields',
        'label and value',
        (value) => JSON.stringify(value) === '[{"label":"Dustiness","value":"5 - severe"}]',
      ],
      ['§8.1', 'activities', 'counted', equals(1)],
      ['§8.1', 'external_comments', 'discussions counted', equals(1)],
      ['§8.1', 'internal_comments', 'chat counted', equals(0)],
      ['§20', 'source', 'the whole source', (value) => (value as Json).application.name === 'Lunch'],
    ],
  ],
  [
    'an activity',
    () => get(`${facts}/messages/${world.activity.id}`),
    [
      ['§7.3.3', 'app', 'influx', equals('influx')],
      ['§7.3.3', 'user', 'nobody', equals('0')],
      ['§7.3.3', 'content', 'null', isNull],
      ['§7.3.3', 'title', 'text', equals('updated ticket')],
      ['§7.3.3', 'body', 'null without one', isNull],
      ['§7.3.3', 'author', 'name and avatar', (value) => (value as Json).name === 'Marty'],
    ],
  ],
  [
    'a discussion',
    () => get(`${facts}/messages/${world.discussion.id}`),
    [
      ['§7.3.3', 'content', 'null', isNull],
      ['§7.3.3', 'body', 'the text', equals('A searchable remark')],
    ],
  ],
  [
    'a comment',
    () => get(`${facts}/messages/${world.comment.id}`),
    [
      [
        '§7.3.1',
        'content',
        'the parent’s title and its own text',
        (value) => JSON.stringify(value) === JSON.stringify({ title: world.chat.content, text: 'A comment' }),
      ],
      [
        '§7.3.1',
        'tags',
        'names its parent',
        (value) => (value as string[]).includes(`influx:${world.chat.id}`),
      ],
      ['§7.5', 'thread_id', 'its parent’s', (value) => value === world.chat.thread_id],
    ],
  ],
  [
    'the content of a file message',
    async () => (await get(`${facts}/messages/${world.file.id}`)).content,
    [
      ['§12.2', 'path', 'a path of the API', matches(/^\/files\/\d+\/[0-9a-f]{32}\/shot\.png$/)],
      ['§12.2', 'file_name', 'text', equals('shot.png')],
      ['§12.2', 'file_size', 'bytes', isInt],
      ['§12.2', 'content_type', 'a type', equals('image/png')],
      ['§12.2', 'image', 'width and height', (value) => JSON.stringify(value) === '{"width":3,"height":2}'],
      [
        '§12.2',
        'thumbnail',
        'path, width and height',
        (value) => /\/thumb\/shot\.png$/.test((value as Json).path) && (value as Json).width === 3,
      ],
    ],
  ],
  [
    'a private message',
    () => get(`/private/2/messages/${world.privateMessage.id}`),
    [
      ['§9', 'to', 'who it is for, as text', equals('2')],
      ['§9', 'flow', 'not there', isAbsent],
      ['§9', 'thread', 'not there', isAbsent],
      ['§9', 'thread_id', 'not there', isAbsent],
      ['§9', 'tags', 'unread first', (value) => (value as string[])[0] === ':unread:2'],
    ],
  ],
  [
    'a private conversation',
    () => get('/private/2'),
    [
      ['§9', 'id', 'the other one’s', equals(2)],
      ['§9', 'url', 'its address', matches(/\/private\/2$/)],
      ['§9', 'name', 'the other’s nick', equals('@Ben')],
      ['§9', 'open', 'a flag', isBool],
      [
        '§9',
        'activity',
        'inbox, mentions and chat',
        (value) => isBool((value as Json).chat) && isInt((value as Json).mentions),
      ],
      ['§9', 'users', 'both people', (value) => (value as Json[]).length === 2],
    ],
  ],
  [
    'a source at its creation',
    async () => world.source,
    [
      ['§10.1', 'id', 'an integer', isInt],
      ['§10.1', 'name', 'text', equals('Lunch')],
      ['§10.1', 'url', 'its address', matches(/\/flows\/example\/facts\/sources\/\d+$/)],
      ['§10.1', 'external_url', 'as given', equals('https://example.com/lunch')],
      ['§10.1', 'created_at', 'ISO', isIso],
      ['§10.1', 'updated_at', 'ISO', isIso],
      ['§10.1', 'flow_token', '32 hex digits', matches(/^[0-9a-f]{32}$/)],
      ['§10.1', '_links', 'an object', (value) => JSON.stringify(value) === '{}'],
      [
        '§10.1',
        'application',
        'id, name, icon and address',
        (value) => isInt((value as Json).id) && isUrl((value as Json).url),
      ],
      ['§10.1', 'creator', 'a user', (value) => (value as Json).nick === 'Ada'],
    ],
  ],
  [
    'a source later',
    () => get(`${facts}/sources/${world.source.id}`),
    [['§10.1', 'flow_token', 'never shown again', isAbsent]],
  ],
  [
    'an invitation',
    async () => world.invitation,
    [
      ['§11', 'id', 'an integer', isInt],
      ['§11', 'state', 'pending', equals('pending')],
      ['§11', 'email', 'text', equals('p@example.com')],
      ['§11', 'flow', 'the flow’s id', (value) => value === world.flow.id],
      ['§11', 'url', 'its address', matches(/\/flows\/example\/facts\/invitations\/\d+$/)],
    ],
  ],
]

describe.each(shapes)('%s', (_, read, fields) => {
  test.each(fields)('%s: %s is %s', async (_ref, field, _what, check) => {
    const value = (await read())[field]
    expect(check(value), `${field} is ${JSON.stringify(value)}`).toBe(true)
  })
})

test('§7.1: the keys of a streamed message stand in the order the service sent them in', () => {
  const order =
    'thread_id author body event tags uuid thread to id flow content sent app title created_at edited external_user_name attachments emojiReactions user'
  for (const message of [world.chat, world.activity, world.privateMessage, world.file])
    expect(Object.keys(message)).toEqual(order.split(' ').filter((key) => key in message))
})

test('§7.1: the keys of an embedded thread, too', () => {
  const order =
    'body source external_url external_comments activities id flow status fields actions created_at title updated_at initial_message internal_comments'
  expect(Object.keys(world.activity.thread)).toEqual(order.split(' '))
})
