import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { CommandError } from './command-error.ts'

/** The result of a check. */
interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warning' | 'problem' | 'skipped'
  readonly found: string
  /** What to do about it. */
  readonly advice?: string
}

type Outcome = Omit<Finding, 'check'>

interface Patient {
  /** The URL of the gateway, without a trailing slash. */
  readonly url: URL
  /** A personal token, for the checks that need a user. */
  readonly token: string | undefined
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

/** How long a response may take, and the first bytes of a stream. */
const patienceMs = 8000
const firstBytesMs = 2000
const clockSkewMs = 30_000
const json = { 'content-type': 'application/json' }
const foreign = { origin: 'https://doctor.invalid' }
const typename = JSON.stringify({ query: '{ __typename }' })

/** Checks a running gateway as a client and prints its problems. @returns 1 when there are any */
export async function doctor(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  print: (text: string) => void,
): Promise<number> {
  const asJson = args.includes('--json')
  const [address = 'http://127.0.0.1:4000', ...more] = args.filter((arg) => !arg.startsWith('--'))
  if (more.length > 0 || !URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol))
    throw new CommandError('Expected one URL, such as https://chat.team.example')
  const patient = { url: new URL(address), token: environment['DOCTOR_TOKEN'] }
  const findings: Finding[] = []
  for (const [check, look] of checks) {
    const outcome = await look(patient).catch(
      (error: Error): Outcome => ({
        status: 'problem',
        found: `the check failed: ${error.cause instanceof Error ? error.cause.message : error.message}`,
      }),
    )
    findings.push({ check, ...outcome })
    if (!asJson) print(describe({ check, ...outcome }))
    if (check === 'reachable' && outcome.status === 'problem') break
  }
  const problems = findings.filter(({ status }) => status === 'problem').length
  const warnings = findings.filter(({ status }) => status === 'warning').length
  if (asJson) print(JSON.stringify(findings, null, 2))
  else print(`\n${findings.length} checks, ${problems} problems, ${warnings} warnings`)
  return problems > 0 ? 1 : 0
}

function describe({ check, status, found, advice }: Finding): string {
  const mark = { ok: 'ok     ', warning: 'WARNING', problem: 'PROBLEM', skipped: '-      ' }[status]
  return `${mark}  ${check}: ${found}${advice === undefined ? '' : `\n         ${advice}`}`
}

const ok = (found: string): Outcome => ({ status: 'ok', found })
const warning = (found: string, advice: string): Outcome => ({ status: 'warning', found, advice })
const problem = (found: string, advice: string): Outcome => ({ status: 'problem', found, advice })
const isHere = ({ url }: Patient) => /^(localhost|127\.|\[::1\])/.test(url.hostname)

/** Runs all checks. The others need the first one to succeed. */
const checks: readonly (readonly [check: string, look: (patient: Patient) => Promise<Outcome>])[] = [
  [
    'reachable',
    async (patient) => {
      const { status } = await ask(patient, '/health/live')
      const { status: named } = await ask(patient, '/graphql?query=%7B__typename%7D', {
        headers: { accept: 'application/json' },
      })
      if (status === 200 && named === 200) return ok('the process responds')
      if (named === 421)
        return problem(
          'it does not accept this host name',
          'Add the name to ALLOWED_HOSTS, or let the proxy pass on Host unchanged.',
        )
      return problem(
        `the response to /health/live is ${status}, and to a query ${named}`,
        'Another program listens there, or the proxy does not pass on the path: see docs/operations.',
      )
    },
  ],
  [
    'ready',
    async (patient) =>
      (await ask(patient, '/health/ready')).status === 200
        ? ok('the upstream responds')
        : problem(
            'the upstream does not respond, or cannot store',
            'Check FLOWDOCK_API_URL, or the log of the embedded backend and the room on its disk.',
          ),
  ],
  [
    'encryption',
    async (patient) =>
      patient.url.protocol === 'https:' || isHere(patient)
        ? ok(patient.url.protocol === 'https:' ? 'HTTPS' : 'none is needed on this machine')
        : problem(
            'tokens and messages pass unencrypted',
            'Put a TLS proxy in front: docs/operations has an example.',
          ),
  ],
  [
    'clock',
    async (patient) => {
      const { headers } = await ask(patient, '/health/live')
      const skew = Math.abs(Date.parse(String(headers['date'])) - Date.now())
      return skew < clockSkewMs
        ? ok('both clocks agree')
        : warning(
            `the clocks differ by ${Math.round(skew / 1000)} s`,
            'Run NTP on both machines: cursors and tickets have times in them.',
          )
    },
  ],
  [
    'GraphQL over HTTP',
    async (patient) => {
      const cases: [string, Parameters<typeof ask>[2], number][] = [
        ['a query', { method: 'POST', headers: json, body: typename }, 200],
        ['no JSON', { method: 'POST', headers: json, body: '{' }, 400],
        [
          'a form',
          {
            method: 'POST',
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: 'query={__typename}',
          },
          415,
        ],
        [
          '31 aliases',
          {
            method: 'POST',
            headers: { ...json, accept: 'application/graphql-response+json' },
            body: JSON.stringify({ query: `{ ${aliases(31)} }` }),
          },
          400,
        ],
        [
          'a body of 2 MiB',
          { method: 'POST', headers: json, body: `{"query":"${' '.repeat(2 * 1024 * 1024)}"}` },
          413,
        ],
      ]
      for (const [name, init, expected] of cases) {
        const { status, text } = await ask(patient, '/graphql', init)
        if (status !== expected)
          return problem(
            `the response to ${name} is ${status} instead of ${expected}`,
            `A proxy may have sent it: ${text.slice(0, 80)}`,
          )
      }
      const { status } = await ask(patient, '/graphql?query=mutation%7B__typename%7D', {
        headers: { accept: 'application/json' },
      })
      return status === 405
        ? ok('every response has the right status')
        : problem(
            `the response to a mutation by GET is ${status} instead of 405`,
            'A proxy changes requests.',
          )
    },
  ],
  [
    'pages of other origins',
    async (patient) => {
      const { status, headers } = await ask(patient, '/graphql', {
        method: 'POST',
        headers: { ...json, ...foreign },
        body: typename,
      })
      const socket = await handshake(patient, foreign)
      if (status === 403 && socket === 403 && headers['access-control-allow-origin'] === undefined)
        return ok('they are refused, over HTTP and WebSocket')
      return problem(
        `a page of ${foreign.origin} gets ${status}, and ${socket} for a WebSocket; Access-Control-Allow-Origin is "${headers['access-control-allow-origin'] ?? ''}"`,
        'The proxy has to pass on Origin and Host, and to set no Access-Control headers of its own.',
      )
    },
  ],
  [
    'WebSocket',
    async (patient) => {
      const status = await handshake(patient, {})
      if (status !== 101)
        return problem(
          `the response to the handshake is ${status}`,
          'The proxy has to pass on Upgrade and Connection, and Host unchanged.',
        )
      const received = await converse(
        patient,
        ['{"type":"connection_init"}', '{"id":"1","type":"subscribe","payload":{"query":"{ __typename }"}}'],
        '"complete"',
      )
      if (!received.includes('{"data":{"__typename":"Query"}}'))
        return problem(
          `the response to a query is "${received.slice(-100)}"`,
          'A proxy changes messages, or closes sockets.',
        )
      const end = await converse(patient, ['nonsense'], 'closed 4400')
      return end.includes('closed 4400')
        ? ok('queries work, and close codes arrive')
        : problem(
            `a broken message closes the socket with "${end}" instead of 4400`,
            'The code says whether a client reconnects: the proxy has to pass it on.',
          )
    },
  ],
  [
    'event streams',
    async (patient) => {
      const reserved = await ask(patient, '/graphql', { method: 'PUT' })
      if (reserved.status !== 201)
        return problem(
          `the response to PUT /graphql is ${reserved.status}`,
          'The proxy has to pass on PUT and DELETE.',
        )
      const begun = performance.now()
      const stream = await ask(patient, '/graphql', {
        headers: { accept: 'text/event-stream', 'x-graphql-event-stream-token': reserved.text },
        until: ':',
        patienceMs: firstBytesMs,
      })
      if (stream.status === 404)
        return warning(
          'PUT reserved a stream, and the gateway that got the next request does not know it',
          'With several gateways, set INTERNAL_URL at each (docs/scale.md), or let the balancer send all requests of a client to one.',
        )
      if (!stream.text.startsWith(':'))
        return problem(
          'nothing arrives while a stream is open',
          'The proxy buffers responses: turn buffering off (X-Accel-Buffering is set).',
        )
      if (stream.headers['content-encoding'] !== undefined)
        return problem(
          'a proxy compresses streams',
          'Compression delays short events: leave text/event-stream out.',
        )
      return ok(`the first bytes arrive after ${Math.round(performance.now() - begun)} ms`)
    },
  ],
  [
    'what strangers see',
    async (patient) => {
      if (isHere(patient)) return { status: 'skipped', found: 'not checked on this machine' }
      const seen = []
      if ((await ask(patient, '/schema.graphql')).status === 200) seen.push('the schema (INTROSPECTION=off)')
      if ((await ask(patient, '/graphql', { headers: { accept: 'text/html' } })).status === 200)
        seen.push('GraphiQL (GRAPHIQL=off)')
      if ((await ask(patient, '/metrics')).status === 200) seen.push('metrics (METRICS_TOKEN)')
      return seen.length === 0
        ? ok('neither the schema nor metrics')
        : warning(seen.join(', '), 'Turn them off; NODE_ENV=production does it.')
    },
  ],
  [
    'who you are',
    async (patient) => {
      if (patient.token === undefined) return withoutToken()
      const { text } = await ask(
        patient,
        '/graphql',
        authorized(patient, '{ viewer { nick } flows { nodes { path } } }'),
      )
      const { data } = JSON.parse(text) as {
        data?: { viewer: { nick: string }; flows: { nodes: unknown[] } }
      }
      return data == null
        ? problem('the token is not accepted', 'Check DOCTOR_TOKEN; a proxy has to pass on Authorization.')
        : ok(`${data.viewer.nick}, in ${data.flows.nodes.length} flows`)
    },
  ],
  [
    'resuming from a cursor',
    async (patient) => {
      if (patient.token === undefined) return withoutToken()
      const page = await ask(
        patient,
        '/graphql',
        authorized(patient, '{ flows(first: 1) { nodes { path messages(last: 2) { edges { cursor } } } } }'),
      )
      const flow = JSON.parse(page.text).data?.flows.nodes[0]
      const [first] = flow?.messages.edges ?? []
      if (flow?.messages.edges.length !== 2)
        return { status: 'skipped', found: 'there are no two messages to resume between' }
      const query = `subscription { flowEvents(input: { flows: [{ path: ${JSON.stringify(flow.path)} }], after: ${JSON.stringify(first.cursor)} }) { __typename cursor } }`
      const live = await ask(patient, '/graphql', {
        ...authorized(patient, query, 'text/event-stream'),
        until: '"MessageAdded"',
      })
      return live.text.includes('"MessageAdded"')
        ? ok('the messages after it are delivered')
        : problem(
            `the response is "${live.text.slice(0, 100)}"`,
            'Check the log of the gateway: the upstream may not store its events.',
          )
    },
  ],
]

function withoutToken(): Outcome {
  return { status: 'skipped', found: 'needs DOCTOR_TOKEN, a personal token' }
}

function aliases(count: number): string {
  return Array.from({ length: count }, (_, index) => `a${index}: __typename`).join(' ')
}

function authorized({ token }: Patient, query: string, accept = 'application/json') {
  return {
    method: 'POST',
    headers: { ...json, accept, authorization: `Basic ${Buffer.from(`${token}:`).toString('base64')}` },
    body: JSON.stringify({ query }),
  }
}

interface AskOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The most characters of a response that are read. */
  readonly until?: string
  readonly patienceMs?: number
}

/** Sends a request. A response that does not end in time has the text so far; a missing response has the status 0. */
function ask({ url }: Patient, path: string, options: AskOptions = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, until } = options
  const send = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    let answer: Answer = { status: 0, headers: {}, text: '' }
    const done = () => {
      clearTimeout(timer)
      resolve(answer)
      asking.destroy()
    }
    const timer = setTimeout(done, options.patienceMs ?? patienceMs)
    const length = { 'content-length': Buffer.byteLength(body ?? '') }
    const asking = send(
      new URL(path, url),
      { agent: false, method, headers: { ...headers, ...length } },
      (response) => {
        answer = { status: response.statusCode ?? 0, headers: response.headers, text: '' }
        response.setEncoding('utf8').on('data', (chunk: string) => {
          answer = { ...answer, text: answer.text + chunk }
          if (until !== undefined && answer.text.includes(until)) done()
        })
        response.on('end', done)
        response.on('error', done)
      },
    )
    asking.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    asking.end(body)
  })
}

/** The status of the response to a handshake; 0 when there is none. */
function handshake({ url }: Patient, more: Readonly<Record<string, string>>): Promise<number> {
  const send = url.protocol === 'https:' ? requestHttps : requestHttp
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    ...{
      'Sec-WebSocket-Key': 'Zmxvd2RvY2stZG9jdG9yIQ==',
      'Sec-WebSocket-Protocol': 'graphql-transport-ws',
      ...more,
    },
  }
  return new Promise((resolve, reject) => {
    const asking = send(new URL('/graphql', url), { agent: false, headers })
    asking.on('upgrade', (_, socket) => {
      socket.destroy()
      resolve(101)
    })
    asking.on('response', (response) => {
      resolve(response.statusCode ?? 0)
      asking.destroy()
    })
    asking.setTimeout(patienceMs, () => {
      resolve(0)
      asking.destroy()
    })
    asking.on('error', reject)
    asking.end()
  })
}

/** Sends messages on a socket. Resolves with all received text when it contains `until`, or when the socket is closed. */
function converse({ url }: Patient, messages: readonly string[], until: string): Promise<string> {
  const address = new URL('/graphql', url)
  address.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return new Promise((resolve) => {
    const socket = new WebSocket(address, 'graphql-transport-ws')
    let received = ''
    const hear = (text: string) => {
      received += text
      if (!received.includes(until)) return
      clearTimeout(timer)
      socket.close()
      resolve(received)
    }
    const timer = setTimeout(() => resolve(received), patienceMs)
    socket.addEventListener('open', () => {
      for (const message of messages) socket.send(message)
    })
    socket.addEventListener('message', ({ data }) => hear(String(data)))
    socket.addEventListener('close', ({ code }) => {
      hear(`closed ${code}`)
      clearTimeout(timer)
      resolve(received)
    })
  })
}
