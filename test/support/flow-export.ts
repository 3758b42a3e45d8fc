import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ZipFile } from 'yazl'
import { makeFolder } from './backend.ts'

/** Writes a zip with these files, as the service made exports. Resolves with its path. */
export async function makeZip(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const zip = new ZipFile()
  for (const [name, content] of Object.entries(files)) zip.addBuffer(Buffer.from(content), name)
  zip.end()
  const path = join(await makeFolder(), 'export.zip')
  await pipeline(zip.outputStream, createWriteStream(path))
  return path
}

const flow = '05654aa3-3b13-4a79-8cea-92ed45bdc9a5'
const at = (index: number) => Date.UTC(2016, 10, 30, 22, 0, index)

const thread = (id: string, title: string, index: number, more: object = {}) => ({
  thread_id: id,
  thread: {
    ...{ id, title, flow, body: '', external_url: null, status: null, fields: [], actions: [] },
    ...{ created_at: at(index), updated_at: new Date(at(index)).toISOString(), initial_message: index },
    ...{ activities: 0, internal_comments: 1, external_comments: 0 },
    ...more,
  },
})

const message = (id: number, more: object) => ({
  ...{ id, flow, event: 'message', app: 'chat', tags: [], attachments: [], user: '9' },
  ...{ sent: at(id), created_at: new Date(at(id)).toISOString(), uuid: `uuid-${id}`, edited: null },
  ...more,
})

const chat = 'x6BAmK_UPxKvtOSj1egQiVUma0s'
const ticket = 'Eg46ehQSRpWW5XSoX2tFm-t55Sk'
const file = {
  ...{ content_type: 'text/plain', file_name: 'notes.txt', file_size: 5 },
  path: '/files/123/d19d7d7048f3012fc1e40026b0d8e16c/notes.txt',
}

/**
 * A flow as the service exported it: everything that messages were in its last years, and things of its first.
 * Joe (9) signs in here under another number, Kim (12) is described by an event, nobody knows who 77 was.
 */
export const exportedMessages = [
  message(1, { content: 'Howdy #hello', tags: ['hello'], ...thread(chat, 'Howdy #hello', 1) }),
  message(2, {
    content: 'Hi @Joe',
    user: '12',
    tags: [':user:9', ':unread:9'],
    emojiReactions: { thumbsup: ['9', '77'] },
    ...thread(chat, 'Howdy #hello', 1),
  }),
  message(3, {
    event: 'file',
    content: file,
    attachments: [file],
    tags: [':file'],
    ...thread('f'.repeat(27), '', 3),
  }),
  message(4, {
    event: 'file',
    content: { ...file, path: '/files/123/gone/gone.txt', file_name: 'gone.txt' },
  }),
  message(5, {
    event: 'comment',
    content: { title: 'Howdy', text: 'an old reply' },
    tags: ['influx:1'],
    user: '77',
  }),
  message(6, {
    ...{ event: 'activity', app: 'influx', user: '0', content: null, title: 'opened', body: null },
    author: { name: 'Marty' },
    ...thread(ticket, 'A ticket', 6, {
      source: { id: 3, name: 'Tracker', application: { id: 1, name: 'Tracker' } },
      status: { color: 'green', value: 'open' },
      fields: [{ label: 'Priority', value: 'High' }],
    }),
  }),
  message(7, {
    ...{
      event: 'discussion',
      app: 'influx',
      user: '0',
      content: null,
      title: 'wrote',
      body: 'A searchable body',
    },
    author: { name: 'Marty' },
    ...thread(ticket, 'A ticket', 6),
  }),
  message(8, { event: 'tag-change', app: null, content: { message: 1, add: ['x'], remove: [] }, uuid: null }),
  message(9, {
    ...{ event: 'backend.user.join', app: null, user: '12', uuid: null },
    content: { user: { id: 12, nick: 'Kim', name: 'Kim Doe', email: 'kim@acme.example' } },
  }),
  message(10, { event: 'activity.user', app: null, content: {}, uuid: null }),
  message(11, { to: '12', content: 'a secret' }),
  message(12, {
    external_user_name: 'Robot',
    user: '0',
    content: 'beep',
    ...thread('r'.repeat(27), 'beep', 12),
  }),
]

/** The export of that flow. */
export function makeFlowExport(messages: readonly object[] = exportedMessages): Promise<string> {
  return makeZip({
    'acme-main/messages.json': JSON.stringify(messages, null, 2),
    'acme-main/users.json': JSON.stringify([
      { id: 9, nick: 'Joe', name: 'Joe Smith', email: 'BEN@example.com' },
    ]),
    'acme-main/files/d19d7d7048f3012fc1e40026b0d8e16c/notes.txt': 'notes',
  })
}
