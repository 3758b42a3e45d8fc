import { type GraphQLError, getOperationAST, type OperationTypeNode } from 'graphql'
import type { OperationSender } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Document } from '../graphql/documents.ts'
import { inexactMessage, isRecord } from '../json-values.ts'
import { type LiveOperation, type SubscriptionReader, toPayload } from '../subscriptions/fan-out.ts'
import type { RequestHead } from '../traffic/client-address.ts'
import type { Engine, EngineOperation } from './engine.ts'
import { InexactNumber } from './exact-variables.ts'

const changeIdPattern = /^[\w-]{1,64}$/

/** The parameters of a request, with the text of the document that they name. */
export interface OperationParams {
  readonly query: string
  readonly operationName: string | undefined
  readonly variables: Readonly<Record<string, unknown>>
  readonly extensions: Readonly<Record<string, unknown>>
}

/** An operation that can be executed. */
export interface ParsedOperation {
  readonly errors?: never
  readonly kind: OperationTypeNode
  readonly document: Document
  readonly params: OperationParams
}

/** Why a request does not become an operation. `kind` is undefined where the document does not say it. */
export interface RejectedOperation {
  readonly errors: readonly GraphQLError[]
  readonly kind?: OperationTypeNode | undefined
}

/** Who sends an operation, and what the transport adds to its parameters. */
export type OperationSource = Pick<
  OperationSender,
  'request' | 'authorization' | 'departure' | 'onTokenEnd'
> & {
  /** The last event that the client received; it replaces `extensions.lastEventId`. */
  readonly lastEventId?: string | undefined
}

/** Receives the results of an operation of any kind. */
export interface OperationReader extends SubscriptionReader {
  /** The operation is a subscription, which is open now. */
  begin?(operation: LiveOperation): void
}

/**
 * Reads the parameters of a request.
 *
 * @throws GatewayError for a parameter of another type, no document, or a hash that is not known
 */
export function readParams(engine: Engine, body: object): OperationParams {
  const { query, documentId, operationName, variables, extensions } = body as Record<string, unknown>
  if (query != null && typeof query !== 'string') throw new ValidationError('Expected query to be text')
  if (documentId != null && typeof documentId !== 'string')
    throw new ValidationError('Expected documentId to be text')
  if (operationName != null && typeof operationName !== 'string')
    throw new ValidationError('Expected operationName to be text')
  if (variables instanceof InexactNumber) throw new ValidationError(inexactMessage(variables.digits))
  if (variables != null && !isRecord(variables))
    throw new ValidationError('Expected variables to be a JSON object')
  if (extensions != null && !isRecord(extensions))
    throw new ValidationError('Expected extensions to be a JSON object')
  const text = engine.find({ query, documentId, extensions })
  if (text === undefined)
    throw new ValidationError('Expected query to be the text of a document, or a hash in its place')
  return {
    query: text,
    // A blank name is none. [spec] GraphQL over HTTP, "GET"
    operationName: operationName || undefined,
    variables: variables ?? {},
    extensions: extensions ?? {},
  }
}

/** @param request what brought the document; parsing one that is not known yet is charged to its IP address */
export function parseOperation(
  engine: Engine,
  params: OperationParams,
  request: RequestHead,
): ParsedOperation | RejectedOperation {
  try {
    const document = engine.parse(params.query, request)
    const kind = getOperationAST(document.node, params.operationName)?.operation
    if (document.problems.length > 0) return { errors: document.problems, kind }
    if (kind === undefined)
      throw new ValidationError(
        params.operationName === undefined
          ? 'Expected operationName to name one of the operations of the document, got none'
          : `Expected operationName to name an operation of the document, got ${JSON.stringify(params.operationName.slice(0, 40))}`,
      )
    return { kind, document, params }
  } catch (error) {
    return { errors: [engine.mask(error)] }
  }
}

/** Gives an operation its context. It is rejected for a malformed credential. */
export function prepareOperation(
  engine: Engine,
  { kind, document, params }: ParsedOperation,
  source: OperationSource,
): EngineOperation | RejectedOperation {
  const { operationName, variables, extensions } = params
  const lastEventId = source.lastEventId ?? extensions['lastEventId']
  try {
    const context = engine.createContext({
      ...source,
      wantsCost: extensions['cost'] === true,
      wantsExplanation: extensions['explain'] === true,
      wantsPosition: extensions['position'] === true,
      wantsChangeId: extensions['changeId'] != null,
      changeId: readChangeId(extensions['changeId']),
      lastEventId: typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : undefined,
    })
    return { kind, document, operationName, variables, context }
  } catch (error) {
    return { errors: [engine.mask(error)], kind }
  }
}

/** @returns undefined for a client that has no id yet @throws ValidationError for what is none */
function readChangeId(value: unknown): string | undefined {
  if (value == null || value === true) return undefined
  if (typeof value === 'string' && changeIdPattern.test(value)) return value
  throw new ValidationError(
    'Expected extensions.changeId to be true, or the extensions.changeId of a response',
  )
}

/** Executes an operation of any kind for a transport that can send several results, until `signal` aborts it. */
export async function runOperation(
  engine: Engine,
  operation: EngineOperation,
  reader: OperationReader,
  signal: AbortSignal,
): Promise<void> {
  const result = await (operation.kind === 'subscription'
    ? engine.subscribe(operation)
    : engine.execute(operation))
  if ('start' in result) {
    if (!signal.aborted) reader.begin?.(result)
    // Also for a client that has left: starting releases what the subscription holds.
    return result.start(reader, signal)
  }
  if (signal.aborted) return
  reader.next(toPayload(engine.toText(result), undefined))
  reader.complete()
}
