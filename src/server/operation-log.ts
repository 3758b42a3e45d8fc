import { type GraphQLError, getOperationAST, type OperationTypeNode } from 'graphql'
import type { Context } from '../context.ts'
import type { ErrorCode } from '../errors.ts'
import type { Document } from '../graphql/documents.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** Records every operation of every transport in metrics, traces and the log. */
export interface OperationLog {
  /** An operation begins. @returns a function to call once, with the errors of its result */
  begin(operation: {
    readonly document: Document
    readonly operationName: string | null | undefined
    readonly context: Context
  }): (errors: readonly GraphQLError[]) => void
  /** A document is rejected. */
  refused(code: ErrorCode): void
  /** A subscription ended. @param reason `LEFT` when its client left, or the code of its last error */
  ended(reason: string): void
}

/** Slower operations are logged as warnings. */
const slowMs = 5000
/** Longest name of an operation in the log: clients choose the names. */
const maxNameLength = 100

export function createOperationLog(metrics: Metrics, log: Logger): OperationLog {
  return {
    begin({ document, operationName, context }) {
      const begun = performance.now()
      return (errors) => {
        const durationMs = performance.now() - begun
        const node = getOperationAST(document.node, operationName)
        const kind: OperationTypeNode | 'unknown' = node?.operation ?? 'unknown'
        const name = node?.name?.value.slice(0, maxNameLength)
        const codes = errors.map(({ extensions }) => String(extensions['code'] ?? 'INTERNAL_SERVER_ERROR'))
        const upstreamCalls = context.callCount()
        metrics.operation({ kind, name, code: codes[0] ?? 'OK', durationMs })
        context.trace?.end({ kind, name, codes, upstreamCalls })
        const isFailed = codes.some((code) => code !== 'CLIENT_LEFT')
        const level = durationMs > slowMs ? 'warn' : isFailed ? 'info' : 'debug'
        if (!log.isLevelEnabled(level)) return
        log[level](
          {
            ...{
              requestId: context.requestId,
              kind,
              operation: name,
              principal: context.principal?.slice(0, 8),
            },
            upstreamCalls,
            durationMs: Math.round(durationMs * 10) / 10,
            ...(codes.length > 0 ? { codes: [...new Set(codes)] } : {}),
          },
          durationMs > slowMs
            ? 'A slow operation'
            : codes.length > 0
              ? 'An operation failed'
              : 'An operation',
        )
      }
    },
    refused(code) {
      metrics.refusal(code)
      log.debug({ code }, 'A document was refused')
    },
    ended(reason) {
      metrics.subscriptionEnd(reason)
      log[reason === 'LEFT' ? 'debug' : 'info']({ reason }, 'A subscription ended')
    },
  }
}
