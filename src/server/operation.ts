import type { IncomingMessage } from 'node:http'
import { type DocumentNode, type ExecutionResult, GraphQLError, getOperationAST } from 'graphql'
import { ValidationError } from '../errors.ts'
import type { Engine } from './engine.ts'
import { type LiveOperation, type LiveReader, toPayload } from './live.ts'

export interface OperationParams {
  readonly query: string
  readonly operationName?: string | null | undefined
  readonly variables?: Record<string, unknown> | null | undefined
  readonly extensions?: Record<string, unknown> | null | undefined
}

export interface OperationRequest {
  readonly engine: Engine
  readonly req: IncomingMessage
  readonly connectionParams?: Readonly<Record<string, unknown>>
  readonly params: OperationParams
  /** The last event the client had, which counts more than what the operation says. */
  readonly lastEventId?: string | undefined
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
  const { engine, req, connectionParams, params, lastEventId, mask, signal } = request
  let live: LiveOperation | undefined
  try {
    const enveloped = engine.getEnveloped({
      req,
      ...(connectionParams === undefined ? {} : { connectionParams }),
      ...(lastEventId === undefined ? {} : { lastEventId }),
      signal,
      params,
      onLive(operation: LiveOperation) {
        live = operation
      },
    } as unknown as Parameters<Engine['getEnveloped']>[0])
    const document: DocumentNode = enveloped.parse(params.query)
    const problems: readonly GraphQLError[] = enveloped.validate(enveloped.schema, document)
    if (problems.length > 0) return reader.refuse(problems)
    const operation = getOperationAST(document, params.operationName)
    if (operation == null)
      return reader.refuse([
        mask(new ValidationError('Expected operationName to name an operation of the document')),
      ])
    if (operation.operation === 'mutation' && request.isReadOnly === true)
      return reader.refuse([mask(new ValidationError('A mutation cannot be sent by GET'))])
    const args = {
      schema: enveloped.schema,
      document,
      operationName: params.operationName,
      variableValues: params.variables ?? {},
      contextValue: await enveloped.contextFactory(),
    }
    const isSubscription = operation.operation === 'subscription'
    const result = (await (isSubscription
      ? enveloped.subscribe(args)
      : enveloped.execute(args))) as ExecutionResult
    if (live !== undefined) {
      const running = live
      if (signal.aborted) return void running.close()
      signal.addEventListener('abort', () => void running.close(), { once: true })
      reader.begin?.(running)
      return running.start(reader)
    }
    if (signal.aborted) return
    reader.next(toPayload(result, undefined))
    reader.complete()
  } catch (error) {
    if (signal.aborted) return
    reader.refuse([
      error instanceof GraphQLError && error.extensions['code'] !== undefined ? error : mask(error),
    ])
  }
}
