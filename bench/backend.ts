import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { basicCredential, compare, createClient, createLeanClient } from './load.ts'

const token = '0123456789abcdef'.repeat(2)
const main = '/flows/example/main'
const content = 'a message of usual length, with a #hashtag and nobody mentioned'

const scenes: Readonly<Record<string, () => Promise<void>>> = {
  write: measureSending,
  read: measureReading,
  streams: measureStreams,
  upload: measureUpload,
}

/** What the backend itself takes: messages, reads of a long history, open streams, uploads. */
export async function backend(): Promise<void> {
  const wanted = process.env['SCENES']?.split(',') ?? Object.keys(scenes)
  for (const name of wanted) {
    const measure = scenes[name]
    if (measure === undefined)
      throw new Error(`Expected SCENES to be some of ${Object.keys(scenes)}, got "${name}"`)
    await measure()
  }
}

interface Running {
  readonly url: string
  readonly child: ChildProcess
  close(): Promise<void>
}

/** Runs the backend alone on a folder. */
async function start(dataDir: string): Promise<Running> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts'), 'backend'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      BACKEND_PORT: '0',
      DATA_DIR: dataDir,
      FLOWDOCK_DEMO_TOKEN: token,
      ...{ REQUESTS_PER_MINUTE: '0', REQUESTS_PER_MINUTE_PER_IP: '0', MAX_CONNECTIONS_PER_PRINCIPAL: '0' },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  while (!output.includes('Streaming')) await once(child.stdout, 'data')
  return {
    url: /Flowdock API (http:\S+)/.exec(output)?.[1] ?? '',
    child,
    async close() {
      child.kill('SIGTERM')
      await once(child, 'close')
    },
  }
}

/** A server that reads a message and answers with as many bytes, and does nothing else. */
async function startEmpty(): Promise<Running> {
  const program = `require('node:http').createServer({ keepAliveTimeout: 75000 }, (request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const message = JSON.parse(Buffer.concat(chunks).toString())
      const text = JSON.stringify({ ...message, filler: 'x'.repeat(900) })
      response.writeHead(201, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
      response.end(text)
    })
  }).listen(0, '127.0.0.1', function () { console.log('port ' + this.address().port) })`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return {
    url: `http://127.0.0.1:${/\d+/.exec(line.toString())?.[0]}`,
    child,
    async close() {
      child.kill('SIGTERM')
      await once(child, 'close')
    },
  }
}

function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'flowdock-gateway-bench-'))
}

/**
 * Messages that are on the disk when they are acknowledged, next to SQLite alone with the same durability: one row
 * of a table without an index, and all the rows a message has here in the tables they have here.
 */
async function measureSending(): Promise<void> {
  const folders = [makeFolder(), makeFolder()] as const
  const running = await start(folders[0])
  const credential = basicCredential(token)
  const client = createLeanClient(running.url, `${main}/messages`, credential)
  const empty = await startEmpty()
  const emptyClient = createLeanClient(empty.url, `${main}/messages`, credential)
  const bare = new DatabaseSync(join(folders[1], 'bare.db'))
  bare.exec(
    'pragma journal_mode = wal; pragma synchronous = full; create table t (id integer primary key, content text)',
  )
  const insertBare = bare.prepare('insert into t (content) values (?)')
  const other = await start(folders[1])
  await other.close()
  const same = openSame(join(folders[1], 'flowdock.db'))

  const commit = (database: DatabaseSync, rows: number, insert: (row: number) => void) => {
    database.exec('begin immediate')
    for (let row = 0; row < rows; row += 1) insert(row)
    database.exec('commit')
  }
  const body = (turn: number) => ({ event: 'message', content: `${content} ${turn}` })
  const post = (turn: number) => client.post(body(turn))
  await compare('messages that are on the disk', [
    {
      name: 'SQLite alone, the same rows, 16 messages to a commit',
      concurrency: 1,
      units: 16,
      work: async () => commit(same.database, 16, same.insert),
    },
    {
      name: 'SQLite alone, the same rows, 1 message to a commit',
      concurrency: 1,
      work: async () => commit(same.database, 1, same.insert),
    },
    {
      name: 'SQLite alone, one plain row, 16 to a commit',
      concurrency: 1,
      units: 16,
      work: async () => commit(bare, 16, () => insertBare.run(content)),
    },
    {
      name: 'node:http alone, nothing stored, 16 writers',
      concurrency: 16,
      work: (turn) => emptyClient.post(body(turn)),
    },
    { name: 'REST, 1 writer', concurrency: 1, work: post, pid: running.child.pid },
    { name: 'REST, 16 writers', concurrency: 16, work: post, pid: running.child.pid },
    { name: 'REST, 64 writers', concurrency: 64, work: post, pid: running.child.pid },
  ])
  const wal = statSync(join(folders[0], 'flowdock.db-wal')).size
  console.log(`  the write-ahead log took ${(wal / 2 ** 20).toFixed(0)} MiB`)
  client.close()
  emptyClient.close()
  await empty.close()
  bare.close()
  same.database.close()
  await running.close()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
}

/** The statements that store a message, and nothing around them. */
function openSame(path: string) {
  const database = new DatabaseSync(path)
  database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on')
  database.exec('pragma cache_size = -16384; pragma wal_autocheckpoint = 8192')
  const row = database.prepare("select id, channel_id from flows where slug = 'main'").get() as {
    id: string
    channel_id: number
  }
  const { id: flow, channel_id: channel } = row
  const payload = JSON.stringify({ filler: 'x'.repeat(900) })
  const statements = {
    number: database.prepare('update channels set last_id = last_id + 1 where id = ? returning last_id'),
    thread: database.prepare(
      `insert into threads (id, channel_id, title, fields_json, actions_json, activities, internal_comments,
        external_comments, created_at, updated_at) values (?, ?, ?, '[]', '[]', 0, 1, 0, 1, 1)`,
    ),
    message: database.prepare(
      `insert into messages (channel_id, id, event, user_id, uuid, thread_id, app, content_json, tags_json,
        attachments_json, sent) values (?, ?, 'message', 1, ?, ?, 'chat', ?, '["hashtag"]', '[]', 1) returning seq`,
    ),
    tag: database.prepare("insert into message_tags (channel_id, tag, seq) values (?, 'hashtag', ?)"),
    words: database.prepare('insert into message_words (rowid, channel, words) values (?, ?, ?)'),
    flow: database.prepare('update flows set last_message_id = ?, last_message_at = 1 where id = ?'),
    member: database.prepare('update flow_members set last_activity = 1 where flow_id = ? and user_id = 1'),
    event: database.prepare('insert into events (flow_id, payload, created_at) values (?, ?, 1)'),
  }
  return {
    database,
    insert() {
      const { last_id: id } = statements.number.get(channel) as { last_id: number }
      const name = String(id).padStart(27, '0')
      statements.thread.run(name, channel, content)
      const { seq } = statements.message.get(channel, id, name, name, content) as { seq: number }
      statements.tag.run(channel, seq)
      statements.words.run(seq, String(channel), content)
      statements.flow.run(id, flow)
      statements.member.run(flow)
      statements.event.run(flow, payload)
    },
  }
}

const small = 1000
const large = Number(process.env['MESSAGES'] ?? 1_000_000)
const samples = 400

/** Reads of a flow with many messages, next to one with few, and to SQLite's own search. */
async function measureReading(): Promise<void> {
  const folder = makeFolder()
  const path = join(folder, 'flowdock.db')
  await (await start(folder)).close()
  const filling = performance.now()
  const words = fill(path)
  const many = large.toLocaleString('en')
  console.log(`\nreading, with ${many} messages in a flow (filled in ${seconds(filling)})`)
  const empty = makeFolder()
  await (await start(empty)).close()
  const starts = { 'a few messages': [] as number[], [`${many} messages`]: [] as number[] }
  for (let round = 0; round < 5; round += 1)
    for (const [name, dataDir] of [
      ['a few messages', empty],
      [`${many} messages`, folder],
    ] as const) {
      const begun = performance.now()
      const { close } = await start(dataDir)
      starts[name]?.push(performance.now() - begun)
      await close()
    }
  for (const [name, list] of Object.entries(starts))
    console.log(`  a start with ${name} takes ${list.sort((a, b) => a - b)[2]?.toFixed(0)} ms`)
  const running = await start(folder)
  const client = createClient(token)
  const database = new DatabaseSync(path, { readOnly: true })
  database.exec('pragma cache_size = -16384')
  const get = (flow: string, query: string) => () =>
    client.call('GET', `${running.url}/flows/example/${flow}/messages?${query}`)
  const word = () => words[Math.floor(Math.random() ** 2 * words.length)] as string
  const bareSearch = database.prepare(
    `select messages.* from message_words join messages on messages.seq = message_words.rowid
      where message_words match ? order by message_words.rowid desc limit 30`,
  )
  const middle = large / 2
  const figures = {
    'newest 100 of 1,000': await latency(get('support', 'limit=100')),
    [`newest 100 of ${many}`]: await latency(get('main', 'limit=100')),
    [`100 in the middle of ${many}`]: await latency(get('main', `limit=100&until_id=${middle}`)),
    'newest 100 files and messages': await latency(get('main', 'limit=100&event=file,message')),
    'the same with a tag': await latency(get('main', 'limit=100&tags=hashtag')),
    'search, one word': await latency(() => get('main', `search=${word()}`)()),
    'search, two words': await latency(() => get('main', `search=${word()}%20${word()}`)()),
    'bare FTS query, one word': await latency(async () => bareSearch.all(`words:"${word()}"`)),
    'bare FTS query, two words': await latency(async () => bareSearch.all(`words:("${word()}" "${word()}")`)),
  }
  for (const [name, { p50, p99 }] of Object.entries(figures))
    console.log(`  p50 ${p50.toFixed(2).padStart(7)} ms  p99 ${p99.toFixed(2).padStart(7)} ms  ${name}`)
  console.log(`  the database takes ${(statSync(path).size / 2 ** 20).toFixed(0)} MiB`)
  client.close()
  database.close()
  await running.close()
  for (const each of [folder, empty]) rmSync(each, { recursive: true, force: true })
}

/** Fills a flow with many messages and another with few, by SQLite alone. Returns the words that are in them. */
function fill(path: string): string[] {
  const database = new DatabaseSync(path)
  database.exec('pragma journal_mode = wal; pragma synchronous = off; pragma cache_size = -200000')
  const words = Array.from({ length: 5000 }, (_, index) => `w${index.toString(36)}`)
  database.function('sentence', (seed: unknown) => {
    // Some words are in every second message, most in a few.
    const pick = (index: number) =>
      words[Math.floor(words.length * (((Number(seed) * 7919 + index * 104_729) % 9973) / 9973) ** 3)]
    return Array.from({ length: 10 }, (_, index) => pick(index)).join(' ')
  })
  const channel = (slug: string) =>
    (database.prepare('select channel_id as id from flows where slug = ?').get(slug) as { id: number }).id
  for (const [slug, count] of [
    ['main', large],
    ['support', small],
  ] as const) {
    const id = channel(slug)
    const numbers = `with recursive n (i) as (select 1 union all select i + 1 from n where i < ${count})`
    const first = 1000
    database.exec(`begin;
      insert into threads (id, channel_id, title, fields_json, actions_json, activities, internal_comments,
        external_comments, initial_message, created_at, updated_at)
        ${numbers} select 'bench' || ${id} || '-' || i, ${id}, 'thread ' || i, '[]', '[]', 0, 1, 0, ${first} + i, i, i
        from n where i % 10 = 1;
      insert into messages (channel_id, id, event, user_id, uuid, thread_id, app, content_json, tags_json,
        attachments_json, sent)
        ${numbers} select ${id}, ${first} + i, iif(i % 50 = 0, 'file', 'message'), 1 + i % 3, 'bench-' || i,
          'bench' || ${id} || '-' || (i - (i - 1) % 10), 'chat', json_quote(sentence(i)),
          iif(i % 100 = 0, '["hashtag"]', '[]'), '[]', i from n;
      insert into message_tags (channel_id, tag, seq) select channel_id, 'hashtag', seq from messages
        where channel_id = ${id} and tags_json = '["hashtag"]';
      insert into message_words (rowid, channel, words) select seq, '${id}', content_json from messages
        where channel_id = ${id} and uuid like 'bench-%';
      update channels set last_id = ${first + count} where id = ${id};
      commit`)
  }
  database.exec('analyze')
  database.close()
  return words
}

async function latency(work: () => Promise<unknown>): Promise<{ p50: number; p99: number }> {
  for (let warm = 0; warm < 20; warm += 1) await work()
  const times: number[] = []
  for (let sample = 0; sample < samples; sample += 1) {
    const begun = performance.now()
    await work()
    times.push(performance.now() - begun)
  }
  times.sort((a, b) => a - b)
  return { p50: times[samples >> 1] ?? 0, p99: times[Math.floor(samples * 0.99)] ?? 0 }
}

const streamCount = 1000
const streamedMessages = 300

/** Streams that are open at once: what each takes of memory, and how many events a second they are sent. */
async function measureStreams(): Promise<void> {
  const folder = makeFolder()
  const running = await start(folder)
  const client = createClient(token)
  const { hostname, port } = new URL(running.url)
  const memory = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${running.child.pid}/status`, 'utf8'))?.[1]) * 1024
  const post = (turn: number) =>
    client.call('POST', `${running.url}${main}/messages`, { event: 'message', content: `${content} ${turn}` })
  for (let turn = 0; turn < 200; turn += 1) await post(turn)

  const before = memory()
  const sockets: Socket[] = []
  let delivered = 0
  for (let index = 0; index < streamCount; index += 1) {
    const socket = connect(Number(port), hostname)
    socket.write(
      `GET /stream/flows?filter=example/main HTTP/1.1\r\nHost: ${hostname}\r\n` +
        `Authorization: Basic ${Buffer.from(`${token}:`).toString('base64')}\r\n\r\n`,
    )
    await once(socket, 'data')
    socket.on('data', (bytes: Buffer) => {
      for (
        let at = bytes.indexOf('"event":"message"');
        at !== -1;
        at = bytes.indexOf('"event":"message"', at + 1)
      )
        delivered += 1
    })
    sockets.push(socket)
  }
  const each = (memory() - before) / streamCount
  const begun = performance.now()
  await Promise.all(
    Array.from({ length: 4 }, async (_, writer) => {
      for (let turn = writer; turn < streamedMessages; turn += 4) await post(turn)
    }),
  )
  while (delivered < streamCount * streamedMessages) await new Promise(setImmediate)
  const rate = (delivered * 1000) / (performance.now() - begun)
  console.log(`\n${streamCount} open streams of one flow`)
  console.log(`  ${(each / 1024).toFixed(1)} KiB of memory each`)
  console.log(
    `  ${rate.toFixed(0)} deliveries a second, ${delivered} of ${streamCount * streamedMessages} arrived`,
  )
  for (const socket of sockets) socket.destroy()
  client.close()
  await running.close()
  rmSync(folder, { recursive: true, force: true })
}

const uploadMegabytes = 200

/** What a long upload takes of memory while it passes. */
async function measureUpload(): Promise<void> {
  const folder = makeFolder()
  const running = await start(folder)
  await upload(running.url, 1)
  const peak = () =>
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${running.child.pid}/status`, 'utf8'))?.[1]) / 1024
  const before = peak()
  for (let turn = 0; turn < 3; turn += 1) await upload(running.url, uploadMegabytes)
  console.log(`\nthree uploads of ${uploadMegabytes} MB`)
  console.log(`  ${(peak() - before).toFixed(1)} MiB more memory at the highest`)
  await running.close()
  rmSync(folder, { recursive: true, force: true })
}

async function upload(url: string, megabytes: number): Promise<void> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  const head =
    '--b\r\nContent-Disposition: form-data; name="event"\r\n\r\nfile\r\n' +
    '--b\r\nContent-Disposition: form-data; name="content"; filename="big.bin"\r\n\r\n'
  const tail = '\r\n--b--\r\n'
  const length = head.length + megabytes * 2 ** 20 + tail.length
  socket.write(
    `POST ${main}/messages HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n` +
      `Authorization: Basic ${Buffer.from(`${token}:`).toString('base64')}\r\n` +
      `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${length}\r\n\r\n${head}`,
  )
  const chunk = Buffer.alloc(65_536, 'x')
  for (let index = 0; index < megabytes * 16; index += 1)
    if (!socket.write(chunk)) await once(socket, 'drain')
  socket.write(tail)
  let answer = ''
  for await (const bytes of socket) answer += String(bytes)
  if (!answer.startsWith('HTTP/1.1 201')) throw new Error(answer)
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(0)} s`
}
