import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'

/** The trace of an operation: a span for it, for each field that waited, and for each call to the upstream. */
export interface Trace {
  /**
   * Resolves a field. All values of one field of the document share a span, from the start of the first to the end of the last. A
   * call is a child of the field that requested it first.
   *
   * @param path the response names from the root to the field
   * @param name type and field, such as `Flow.messages`
   */
  field<T>(path: readonly string[], name: string, resolve: () => T): T
  /** A call begins. @returns the headers that continue the trace in the upstream, and a function that ends the span */
  call(
    method: string,
    url: URL,
  ): {
    readonly headers: Readonly<Record<string, string>>
    end(status: number | undefined): void
  }
  end(operation: TracedOperation): void
}

export interface TracedOperation {
  readonly kind: string
  readonly name: string | undefined
  /** The codes of its errors. */
  readonly codes: readonly string[]
  readonly upstreamCalls: number
}

/** Creates traces and exports them. */
export interface Tracing {
  /** @param traceparent the trace of the client. [spec] W3C Trace Context */
  begin(traceparent: string | undefined): Trace
  /** Exports the remaining spans. */
  close(): Promise<void>
}

export interface TracingOptions {
  /** The URL for OTLP over HTTP, without `/v1/traces`. */
  readonly endpoint: string
  readonly serviceName: string
  /** The route of a URL, which is the name of a call. */
  readonly routeOf: (url: URL) => string
}

/** Traces of OpenTelemetry, sent with OTLP over HTTP. They contain nothing of requests and responses except names. */
export function createTracing({ endpoint, serviceName, routeOf }: TracingOptions): Tracing {
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': serviceName }),
    spanProcessors: [
      new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${endpoint}/v1/traces` }) }),
    ],
  })
  const tracer = provider.getTracer('flowdock-gateway')
  return {
    begin: (traceparent) => beginTrace(tracer, readParent(traceparent), routeOf),
    close: () => provider.shutdown(),
  }
}

/** A field of the document. It has a span if one of its values waited. */
interface TracedField {
  readonly path: readonly string[]
  readonly name: string
  readonly beganAt: number
  endedAt: number
  values: number
  span: Span | undefined
}

function beginTrace(tracer: Tracer, parent: Context, routeOf: (url: URL) => string): Trace {
  const operation = tracer.startSpan('graphql', { kind: SpanKind.SERVER }, parent)
  const inside = trace.setSpan(parent, operation)
  const fields = new Map<string, TracedField>()
  const current = new AsyncLocalStorage<TracedField>()
  let isOver = false

  function fieldAt(path: readonly string[], name: string): TracedField {
    const key = path.join('.')
    const known = fields.get(key)
    if (known !== undefined) return known
    const field = { path, name, beganAt: performance.now(), endedAt: 0, values: 0, span: undefined }
    fields.set(key, field)
    return field
  }

  /** The parent of a field's span: the next field above it that has a span, or the operation. */
  function contextOf({ path }: TracedField): Context {
    for (let length = path.length - 1; length > 0; length -= 1) {
      const above = fields.get(path.slice(0, length).join('.'))
      if (above?.span !== undefined) return trace.setSpan(inside, above.span)
    }
    return inside
  }

  function spanOf(field: TracedField): Span {
    field.span ??= tracer.startSpan(field.name, { startTime: field.beganAt }, contextOf(field))
    return field.span
  }

  return {
    field(path, name, resolve) {
      // The trace of a subscription ends when it is open. Calls for its events belong to no trace.
      if (isOver) return resolve()
      const field = fieldAt(path, name)
      const value = current.run(field, resolve)
      if (!(value instanceof Promise)) return value
      spanOf(field)
      field.values += 1
      const end = () => {
        field.endedAt = performance.now()
      }
      value.then(end, end)
      return value
    },
    call(method, url) {
      const field = current.getStore()
      const span = tracer.startSpan(
        `${method} ${routeOf(url)}`,
        {
          kind: SpanKind.CLIENT,
          attributes: { 'http.request.method': method, 'server.address': url.hostname },
        },
        field === undefined ? inside : trace.setSpan(inside, spanOf(field)),
      )
      return {
        headers: { traceparent: writeParent(span.spanContext()) },
        end(status) {
          if (status !== undefined) span.setAttribute('http.response.status_code', status)
          if (status === undefined || status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
          span.end()
        },
      }
    },
    end({ kind, name, codes, upstreamCalls }) {
      isOver = true
      for (const { span, path, values, endedAt } of fields.values())
        span
          ?.setAttributes({ 'graphql.field.path': path.join('.'), 'flowdock.values': values })
          .end(endedAt || performance.now())
      operation.updateName(name === undefined ? kind : `${kind} ${name}`)
      operation.setAttributes({
        'graphql.operation.type': kind,
        ...(name === undefined ? {} : { 'graphql.operation.name': name }),
        'flowdock.upstream_calls': upstreamCalls,
      })
      if (codes.length > 0) {
        operation.setAttribute('error.type', codes[0] ?? '')
        operation.setStatus({ code: SpanStatusCode.ERROR })
      }
      operation.end()
    },
  }
}

function readParent(traceparent: string | undefined): Context {
  const [, traceId = '', spanId = '', flags = ''] =
    /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? '') ?? []
  if (traceId === '' || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return ROOT_CONTEXT
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true }
  return trace.setSpanContext(ROOT_CONTEXT, context)
}

function writeParent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-0${traceFlags & 1}`
}
