import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

/** The tests that show each row of the table, by its first cell without links and code marks. */
const evidence: Readonly<Record<string, readonly (readonly [file: string, ...names: string[]])[]>> = {
  'users, flows, messages, tokens, codes of OAuth, events': [
    ['machines/live', 'an event of one is delivered by the other at once, without a search of the log'],
    ['machines/live', 'a code of OAuth that one backend made is exchanged at another, once'],
    [
      'machines/writing',
      'messages sent at two backends at once have ids without holes in each flow, and counts that are right',
    ],
  ],
  'presence, typing': [
    ['machines/live', 'typing at one is delivered by the other'],
    ['machines/live', 'a user who is at one is present at the other, until their last stream anywhere ends'],
    ['machines/live', 'what a user says last of their presence counts, whichever backend it reaches'],
    [
      'machines/live',
      'the users of a backend that ended without notice go offline once it is silent for too long',
    ],
  ],
  'the first start, migrations': [
    [
      'backend/first-start',
      'several programs that open an empty database at once bring it up to date together',
    ],
    [
      'postgres/first-start',
      'backends that start at once on an empty database all come up, with the same demo token',
    ],
    ['postgres/first-start', 'a database is brought up to date while no other process writes'],
  ],
  'one message for each uuid': [
    [
      'machines/writing',
      'messages sent at two backends at once have ids without holes in each flow, and counts that are right',
    ],
    ['backend/messages', 'the same uuid from the same sender is one message, also at the same time'],
  ],
  cursors: [['gateway/own-state', 'a cursor of one gateway resumes a subscription at another']],
  files: [
    ['backend/files-s3', 'a long file is sent in parts and read back by another backend'],
    [
      'backend/file-leftovers',
      'a second backend on the same folder starts, keeps house and stops, and an upload at the first goes on',
    ],
  ],
  'URLs of files and uploads, tickets of event streams': [
    ['gateway/several-gateways', 'that one gateway made is served by another, and is the same text at both'],
    ['gateway/several-gateways', 'that one gateway made takes a file at another'],
    ['gateway/several-gateways', 'a stream ticket of one gateway opens an event stream at another'],
  ],
  'signed URLs of files of the backend': [
    [
      'backend/files-s3',
      'a backend with another DATA_DIR and the same secret serves the addresses of this one, with another secret it does not',
    ],
  ],
  'WebSockets, event streams, multipart responses': [
    ['gateway/balanced', 'sockets and event streams stay at the gateway that they came to'],
    ['gateway/own-state', 'a cursor of one gateway resumes a subscription at another'],
  ],
  'event streams for several operations': [
    ['gateway/balanced', 'the stock client of graphql-sse runs many operations over a single connection'],
    [
      'gateway/balanced',
      'a stream that neither has is named as missing, and a request is forwarded once at most',
    ],
  ],
  'documents that clients registered by their hash': [
    [
      'gateway/balanced',
      'a document that another gateway registered is asked for once more, with its text, and then known',
    ],
    ['gateway/persisted-documents', 'those are executed, by text or hash, and nothing else'],
  ],
  'cached responses, shared reads': [
    ['machines/live', 'the first query at the gateway of one shows what was changed at the other'],
    [
      'gateway/balanced',
      'a change without an event is in the next response of the other gateway when the request names it',
    ],
  ],
  'proofs that a credential is valid, 10 seconds': [
    ['upstream/proofs', 'nothing of an upload is read when its credential has become invalid'],
    [
      'gateway/several-gateways',
      'ends at every gateway as soon as the token is removed that it was made with',
    ],
  ],
  'passwords that were right, 30 seconds': [
    ['backend/sign-in', 'is forgotten when it is changed, and when its user is disabled'],
  ],
  'parsed and compiled documents, decoded events, directories of users': [
    [
      'gateway/persisted-documents',
      'an unregistered hash is not found; with its text it is registered, and then works on all transports',
    ],
    ['machines/live', 'the first query at the gateway of one shows what was changed at the other'],
  ],
  'circuit breakers, concurrency limits, bulkheads': [
    [
      'gateway/own-state',
      'each gateway measures the upstream for itself: the breaker of one opens, and the other goes on reading',
    ],
  ],
  limits: [
    ['gateway/own-state', 'each gateway counts limits for itself'],
    [
      'gateway/several-gateways',
      'a backend counts nothing that gateways with its service token count, and sees the IP addresses of their clients',
    ],
  ],
  'limits on guessed passwords': [
    ['machines/live', 'passwords that were guessed at one count at the other'],
    ['backend/sign-in', 'give an IP address ten attempts at an account in all'],
  ],
  'metrics, /streams': [['gateway/own-state', 'each gateway has metrics of its own']],
}

test('each row of the table of what is shared has tests that show it, and these exist', async () => {
  const scale = await readFile('docs/scale.md', 'utf8')
  const [, section = ''] = /^## What is shared\n([\s\S]+?)\n## /m.exec(scale) ?? []
  const rows = [...section.matchAll(/^\| (.+?) \|/gm)].map(([, cell = '']) =>
    cell.replace(/\[(.+?)\]\(.+?\)/g, '$1').replaceAll('`', ''),
  )
  expect(rows.slice(1)).toEqual(Object.keys(evidence).toSorted((a, b) => rows.indexOf(a) - rows.indexOf(b)))
  const missing: string[] = []
  for (const [file, ...names] of Object.values(evidence).flat()) {
    const text = await readFile(`test/${file}.test.ts`, 'utf8')
    missing.push(...names.filter((name) => !text.includes(`'${name}'`)).map((name) => `${file}: ${name}`))
  }
  expect(missing).toEqual([])
})
