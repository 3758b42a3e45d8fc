import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { GraphQLError } from 'graphql'
import { type ErrorCode, GatewayError } from '../errors.ts'
import { type OpenDownload, serveDownload } from './downloads.ts'
import type { Engine } from './engine.ts'
import type { EventStreams } from './event-streams.ts'
import type { Graphiql } from './graphiql.ts'
import { isLocal, isSameOrigin, isValidHost } from './host.ts'
import { type LiveFormat, type LiveResponses, liveFormat } from './live-http.ts'
import { readMultipart } from './multipart.ts'
import type { OperationParams } from './operation.ts'
import { type SendUpload, serveUpload } from './uploads.ts'

export interface HttpServerOptions {
  readonly host: string
  readonly port: number
  readonly engine: Engine
  readonly liveResponses: LiveResponses
  readonly eventStreams: EventStreams
  /** An error as a client may see it. */
  readonly mask: (error: unknown) => GraphQLError
  readonly graphiql: Graphiql
  /** The schema in its own language. */
  readonly schemaFile: string
  /** What GraphiQL sends for readers on this machine; undefined when there is no demo user. */
  readonly demoAuthorization: string | undefined
  /** Opens a file by the ticket in its address. */
  readonly openDownload: OpenDownload
  /** Sends a file on, by the ticket in its address. */
  readonly sendUpload: SendUpload
  /** Figures in the text format of Prometheus. */
  readonly metrics: () => string
  /** What is live at this moment, for readers on this machine. */
  readonly streams: () => object
  /** Whether the upstream answers. */
  readonly isReady: () => Promise<boolean>
}

export interface HttpServer {
  readonly server: Server
  /** Where it listens, without a trailing slash. */
  readonly url: string
  /** Answers what came, refuses what comes, and resolves when the last connection is closed. */
  close(): Promise<void>
}

/** Browsers send these to another origin only after it agreed; one of them has to come with files. */
const preflightHeaders = ['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with']
/** Longest body of a request without files. */
const maxBodyBytes = 1024 * 1024

/** How long a file may take to arrive, and how long every other request. */
const uploadMs = 600_000
const arrivalMs = 60_000
/** How long requests in flight may go on after a stop was asked for. */
const drainMs = 5000
/** How long the port stays open after that: requests on their way still arrive, and load balancers look elsewhere. */
const farewellMs = 250

/** Starts listening; answers everything but WebSockets. @throws the system's error when the port cannot be had */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let stopping = false
  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: uploadMs, keepAliveTimeout: 75_000 },
    (request, response) => {
      if (!request.url?.startsWith('/uploads/') && !hasFiles(request)) boundArrival(request)
      response.on('error', () => undefined)
      if (stopping) response.setHeader('Connection', 'close')
      const isReady = async () => !stopping && options.isReady()
      handle(request, response, { ...options, isReady })
    },
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    server,
    url: `http://${host}:${port}`,
    async close() {
      stopping = true
      await new Promise((resolve) => setTimeout(resolve, farewellMs))
      options.liveResponses.close()
      options.eventStreams.close()
      const closed = new Promise((resolve) => server.close(resolve))
      const deadline = setTimeout(() => server.closeAllConnections(), drainMs)
      await closed
      clearTimeout(deadline)
    },
  }
}

function hasFiles({ headers }: IncomingMessage): boolean {
  return /^multipart\/form-data/i.test(headers['content-type'] ?? '')
}

/** Ends a request whose body does not arrive in time. */
function boundArrival(request: IncomingMessage): void {
  const limit = setTimeout(() => {
    if (request.complete) return
    request.socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n')
    request.destroy()
  }, arrivalMs)
  request.once('close', () => clearTimeout(limit))
}

function handle(request: IncomingMessage, response: ServerResponse, options: HttpServerOptions): void {
  // Frameworks answer a broken Host or target with a stack trace; they never see one.
  if (!isValidHost(request.headers.host))
    return sendError(response, 400, 'BAD_USER_INPUT', 'The Host header is not valid')
  const target = request.url ?? '/'
  if (!target.startsWith('/') || target.startsWith('//'))
    return sendError(response, 400, 'BAD_USER_INPUT', 'The request target is not a path')
  const [path] = target.split('?', 1) as [string]

  switch (path) {
    case '/':
      response.writeHead(302, { Location: '/graphql' })
      response.end()
      return
    case '/graphql':
      return serveGraphql(request, response, options)
    case '/schema.graphql':
      return sendText(response, options.schemaFile, 'text/plain; charset=utf-8')
    case '/metrics':
      return sendText(response, options.metrics(), 'text/plain; version=0.0.4; charset=utf-8')
    case '/streams':
      if (!isLocal(request))
        return sendError(response, 403, 'FORBIDDEN', 'Only for readers on the machine of the gateway')
      return sendText(response, JSON.stringify(options.streams()), 'application/json')
    case '/health/live':
      return sendText(response, '{"status":"live"}', 'application/json')
    case '/health/ready':
      void options.isReady().then((ready) => {
        response.writeHead(ready ? 200 : 503, {
          'Content-Type': 'application/json',
          'Cache-Control': 'no-store',
        })
        response.end(JSON.stringify({ status: ready ? 'ready' : 'not ready' }))
      })
      return
    default:
      if (
        path.startsWith('/graphiql/') &&
        options.graphiql.serveAsset(path.slice('/graphiql/'.length), request, response)
      )
        return
      return serveFile(path, request, response, options)
  }
}

function serveFile(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  { openDownload, sendUpload }: HttpServerOptions,
): void {
  const [, upload] = /^\/uploads\/([\w-]{22})$/.exec(path) ?? []
  if (upload !== undefined && request.method === 'PUT')
    return void serveUpload(upload, request, response, sendUpload)
  const [, ticket] = /^\/files\/([\w-]{22})\/[^/]+$/.exec(path) ?? []
  if (ticket === undefined)
    return sendError(response, 404, 'NOT_FOUND', 'There is nothing here; GraphQL is at /graphql')
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return sendError(response, 405, 'BAD_USER_INPUT', 'A file can only be read')
  void serveDownload(ticket, request, response, openDownload)
}

function serveGraphql(request: IncomingMessage, response: ServerResponse, options: HttpServerOptions): void {
  if (request.method === 'GET' && (request.headers.accept ?? '').includes('text/html')) {
    options.graphiql.servePage(response, isLocal(request) ? options.demoAuthorization : undefined)
    return
  }
  if (!isSameOrigin(request))
    return sendError(response, 403, 'FORBIDDEN', 'Requests of other origins are not accepted')
  const { eventStreams, engine, mask } = options
  if (eventStreams.isFor(request)) {
    const readParams = async (from: IncomingMessage) => toParams(await readJson(from))
    eventStreams.serve(request, response, { engine, mask, readParams }).catch((error: unknown) => {
      if (!(error instanceof GatewayError)) return response.destroy()
      sendError(response, error.code === 'LIMIT_EXCEEDED' ? 413 : 400, error.code, error.message)
    })
    return
  }
  const isMultipart = hasFiles(request)
  // Forms of other pages can send any body but JSON without asking first.
  if (request.method === 'POST' && isMultipart && !preflightHeaders.some((name) => request.headers[name]))
    return sendError(
      response,
      415,
      'BAD_USER_INPUT',
      `Expected a multipart request to have one of the headers ${preflightHeaders.join(', ')}`,
    )
  if (
    request.method === 'POST' &&
    !isMultipart &&
    !/^application\/(graphql\+)?json\s*(;|$)/i.test(request.headers['content-type'] ?? '')
  )
    return sendError(response, 415, 'BAD_USER_INPUT', 'Expected Content-Type to be application/json')
  const format = liveFormat(request)
  if (format !== undefined && (request.method === 'GET' || request.method === 'POST'))
    return void serveLive(request, response, format, options)
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const context = { req: request, res: response, signal: gone.signal }
  if (request.method !== 'POST') return void options.engine(request, response, context)
  const reading = isMultipart ? readOperation(request, response) : readJson(request)
  reading.then(
    (body) => options.engine(Object.assign(request, { body }), response, context),
    (error: unknown) => {
      if (!(error instanceof GatewayError)) return response.destroy()
      sendError(response, error.code === 'LIMIT_EXCEEDED' ? 413 : 400, error.code, error.message)
    },
  )
}

/** Answers with as many results as there are. */
async function serveLive(
  request: IncomingMessage,
  response: ServerResponse,
  format: LiveFormat,
  { engine, liveResponses, mask }: HttpServerOptions,
): Promise<void> {
  try {
    const body = request.method === 'GET' ? readQuery(request) : await readJson(request)
    liveResponses.serve(request, response, { engine, format, mask, params: toParams(body) })
  } catch (error) {
    if (!(error instanceof GatewayError)) return void response.destroy()
    sendError(response, error.code === 'LIMIT_EXCEEDED' ? 413 : 400, error.code, error.message)
  }
}

/** An operation in an address. [spec] GraphQL over HTTP, "GET" */
function readQuery(request: IncomingMessage): object {
  const { searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const json = (name: string) => {
    const text = searchParams.get(name)
    return text === null ? undefined : parseJson(text, name)
  }
  return expectQuery({
    ...(searchParams.has('query') ? { query: searchParams.get('query') } : {}),
    operationName: searchParams.get('operationName') ?? undefined,
    variables: json('variables'),
    extensions: json('extensions'),
  })
}

/** @throws GatewayError for what a client got wrong */
function toParams(body: object): OperationParams {
  const { query, operationName, variables, extensions } = body as Record<string, unknown>
  const isObject = (value: unknown) => value == null || (typeof value === 'object' && !Array.isArray(value))
  if (typeof query !== 'string') throw new GatewayError('BAD_USER_INPUT', 'Expected "query" to be text')
  if (operationName != null && typeof operationName !== 'string')
    throw new GatewayError('BAD_USER_INPUT', 'Expected "operationName" to be text')
  if (!isObject(variables) || !isObject(extensions))
    throw new GatewayError('BAD_USER_INPUT', 'Expected "variables" and "extensions" to be JSON objects')
  return { query, operationName, variables, extensions } as OperationParams
}

/** An operation that comes with files, which are kept until it is answered. */
async function readOperation(request: IncomingMessage, response: ServerResponse): Promise<object> {
  const { body, close } = await readMultipart(request)
  response.once('close', () => void close())
  if (response.destroyed) await close()
  // What is left is an operation like any other.
  request.headers['content-type'] = 'application/json'
  return expectQuery(body)
}

/** Reads the body here, because the framework would answer a broken one with an excerpt of it. */
async function readJson(request: IncomingMessage): Promise<object> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBodyBytes)
      throw new GatewayError('LIMIT_EXCEEDED', `The body is longer than ${maxBodyBytes} bytes`)
    chunks.push(chunk)
  }
  return expectQuery(parseJson(Buffer.concat(chunks).toString('utf8'), 'the body'))
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new GatewayError('BAD_USER_INPUT', `Expected ${what} to be JSON`)
  }
}

function expectQuery(body: unknown): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body) || !('query' in body))
    throw new GatewayError('BAD_USER_INPUT', 'Expected the body to be a JSON object with "query"')
  return body
}

function sendText(response: ServerResponse, text: string, type: string): void {
  response.writeHead(200, {
    'Content-Type': type,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(text)
}

/** An error as GraphQL clients read it, for requests that never become operations. */
function sendError(response: ServerResponse, status: number, code: ErrorCode, message: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' })
  response.end(JSON.stringify({ errors: [{ message, extensions: { code } }] }))
}
