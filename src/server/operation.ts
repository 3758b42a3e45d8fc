import { GraphQLError, getOperationAST } from 'graphql'
import type { RequestHead } from '../context.ts'
import { ValidationError } from '../errors.ts'
import type { Engine } from './engine.ts'
import { type LiveOperation, type LiveReader, toPayload } from './live.ts'
import { wishesOf } from './wishes.ts'

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
  readonly params: OperationParams
  /** The last event the client had, which counts more than what the operation says, and `extensions.lastEventId` of it. */
  readonly lastEventId?: string | undefined
  /** Hears when the credential ends, in milliseconds. */
  readonly onTokenEnd?: ((at: number) => void) | undefined
  /** Whether it may change something. */
  readonly isReadOnly?: boolean
  readonly mask: (error: unknown) => GraphQLError
  /** Ends when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** Who hears of an operation. */
export interface OperationReader extends LiveReader {
  /** It is a subscription, and stands. */
  begin?(operation: LiveOperation): void
  /** It was not run at all. */
  refuse(errors: readonly GraphQLError[]): void
}

/**
 * Runs an operation of any kind for a transport that can send more than one result. Ends with `complete` or `refuse`,
 * unless `signal` ends it.
 */
export async function runOperation(request: OperationRequest, reader: OperationReader): Promise<void> {
  const { engine, req, authorization, params, mask, signal } = request
  const lastEventId = request.lastEventId ?? textOf(params.extensions?.['lastEventId'])
  try {
    const text = engine.find(params)
    if (text === undefined) throw new ValidationError('Expected "query" to be text')
    const document = engine.parse(text, req)
    if (document.problems.length > 0) return reader.refuse(document.problems)
    const operation = getOperationAST(document.node, params.operationName)
    if (operation == null)
      return reader.refuse([
        mask(new ValidationError('Expected operationName to name an operation of the document')),
      ])
    if (operation.operation === 'mutation' && request.isReadOnly === true)
      return reader.refuse([mask(new ValidationError('A mutation cannot be sent by GET'))])
    const run = {
      document,
      operationName: params.operationName,
      variables: params.variables ?? {},
      context: engine.createContext({
        ...{ request: req, authorization },
        departure: { signal },
        ...wishesOf(params.extensions),
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
