import { type DocumentNode, GraphQLError, getOperationAST, type OperationDefinitionNode } from 'graphql'
import { ValidationError } from '../errors.ts'
import { type LiveOperation, type SubscriptionReader, toPayload } from '../subscriptions/fan-out.ts'
import type { RequestHead } from '../traffic/client-address.ts'
import type { Engine } from './engine.ts'
import { readExtensions } from './extensions.ts'

export interface OperationParams {
  /** Not needed where it is known by its hash. */
  readonly query?: string | null | undefined
  readonly documentId?: string | null | undefined
  readonly operationName?: string | null | undefined
  readonly variables?: Record<string, unknown> | null | undefined
  readonly extensions?: Record<string, unknown> | null | undefined
}

export interface OperationRequest {
  readonly engine: Engine
  readonly req: RequestHead
  /** The credential as it was sent. */
  readonly authorization: unknown
  /** As the client sent them. */
  readonly params: object
  /** The last event the client had, which counts more than what the operation says, and `extensions.lastEventId` of it. */
  readonly lastEventId?: string | undefined
  /** Hears when the credential ends, in milliseconds. */
  readonly onTokenEnd?: ((at: number) => void) | undefined
  readonly mask: (error: unknown) => GraphQLError
  /** Ends when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** Who hears of an operation. */
export interface OperationReader extends SubscriptionReader {
  /** It is a subscription, and stands. */
  begin?(operation: LiveOperation): void
  /** It was not run at all. */
  refuse(errors: readonly GraphQLError[]): void
}

/**
 * Checks the parameters of a request.
 *
 * @throws ValidationError for one of another type
 */
export function toParams(body: object): OperationParams {
  const { query, documentId, operationName, variables, extensions } = body as Record<string, unknown>
  if (query != null && typeof query !== 'string') throw new ValidationError('Expected query to be text')
  if (documentId != null && typeof documentId !== 'string')
    throw new ValidationError('Expected documentId to be text')
  if (operationName != null && typeof operationName !== 'string')
    throw new ValidationError('Expected operationName to be text')
  if (!isObject(variables)) throw new ValidationError('Expected variables to be a JSON object')
  if (!isObject(extensions)) throw new ValidationError('Expected extensions to be a JSON object')
  // A blank name is none. [spec] GraphQL over HTTP, "GET"
  return { query, documentId, operationName: operationName || undefined, variables, extensions }
}

function isObject(value: unknown): value is Record<string, unknown> | null | undefined {
  return value == null || (typeof value === 'object' && !Array.isArray(value))
}

/** @throws ValidationError when the name is of no operation, or is missing and there are several */
export function operationOf(
  document: DocumentNode,
  operationName: string | null | undefined,
): OperationDefinitionNode {
  const operation = getOperationAST(document, operationName)
  if (operation == null)
    throw new ValidationError('Expected operationName to name an operation of the document')
  return operation
}

/**
 * Runs an operation of any kind for a transport that can send more than one result. Ends with `complete` or `refuse`,
 * unless `signal` ends it.
 */
export async function runOperation(request: OperationRequest, reader: OperationReader): Promise<void> {
  const { engine, req, authorization, mask, signal } = request
  try {
    const params = toParams(request.params)
    const lastEventId = request.lastEventId ?? textOf(params.extensions?.['lastEventId'])
    const text = engine.find(params)
    if (text === undefined) throw new ValidationError('Expected query to be text')
    const document = engine.parse(text, req)
    if (document.problems.length > 0) return reader.refuse(document.problems)
    const operation = operationOf(document.node, params.operationName)
    const run = {
      document,
      operationName: params.operationName,
      variables: params.variables ?? {},
      context: engine.createContext({
        ...{ request: req, authorization },
        departure: { signal },
        ...readExtensions(params.extensions),
        ...(lastEventId === undefined ? {} : { lastEventId }),
        onTokenEnd: request.onTokenEnd,
      }),
    }
    const result = await (operation.operation === 'subscription'
      ? engine.subscribe(run)
      : engine.execute(run))
    if ('start' in result) {
      if (!signal.aborted) reader.begin?.(result)
      // Also for a reader that has left: starting it gives back what it holds.
      return result.start(reader, signal)
    }
    if (signal.aborted) return
    reader.next(toPayload(engine.toText(result), undefined))
    reader.complete()
  } catch (error) {
    if (signal.aborted) return
    reader.refuse([
      error instanceof GraphQLError && error.extensions['code'] !== undefined ? error : mask(error),
    ])
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
