import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  validate,
} from 'graphql'
import { LRUCache } from 'lru-cache'
import { type ErrorCode, GatewayError } from '../errors.ts'
import { type CallPrediction, predictCalls } from './call-cost.ts'
import {
  checkDocumentSize,
  checkFieldPairs,
  isTokenLimitError,
  type Limits,
  measureDocument,
} from './document-limits.ts'
import { withCode } from './error-mask.ts'
import { introspectionKey } from './introspection.ts'
import { validationRules } from './subscription-rules.ts'

/** A parsed and validated text, shared by all clients that send the same text. */
export interface Document {
  readonly node: DocumentNode
  /** The reasons why it is not executed; none for a valid document. */
  readonly problems: readonly GraphQLError[]
  /**
   * How many fields may be resolved with these variables.
   *
   * @throws GatewayError `LIMIT_EXCEEDED` when those are too many
   */
  cost(variables: Readonly<Record<string, unknown>>): number
  /** The key of the result of an operation that has introspection fields only; undefined for any other. */
  introspection(operationName: string | null | undefined): string | undefined
  /** Whether the response can change without an event. */
  readonly isVolatile: boolean
  /** Whether it may select messages: without them, reading again takes as long as executing. */
  readonly mayHaveMessages: boolean
  /** The upstream calls that an operation makes at most. */
  predict(
    operationName: string | null | undefined,
    variables: Readonly<Record<string, unknown>>,
  ): CallPrediction
}

/** Parses documents, and caches the latest. */
export interface Documents {
  /**
   * @param begin called before a document that is not cached is parsed. It returns what is called with the CPU time that
   *   parsing and validation took, in milliseconds
   * @throws GraphQLError for a text that is not a document, GatewayError `LIMIT_EXCEEDED` for one that is too long
   */
  parse(text: string, begin: () => (cpuMs: number) => void): Document
}

/** Bounds of the cache. */
const maxCached = { documents: 1000, characters: 4 * 1024 * 1024 }
/** Bounds of the errors of one document. A client can fix a document by a few; hundreds would be longer than any document. */
const maxProblems = 5
const maxMessageLength = 300
const maxPlaces = 5

/** @param options `isOpen`: whether introspection is allowed, and errors suggest names of the schema */
export function createDocuments({
  schema,
  limits,
  isOpen,
}: {
  schema: GraphQLSchema
  limits: Limits
  isOpen: boolean
}): Documents {
  const texts = new LRUCache<string, Document>({ max: maxCached.documents, maxSize: maxCached.characters })
  const rules = isOpen ? validationRules : [...validationRules, NoSchemaIntrospectionCustomRule]

  function read(text: string): Document {
    checkDocumentSize(text, limits)
    const node = parseText(text, limits)
    const unbounded = { ...limits, maxCost: Number.POSITIVE_INFINITY }
    const { cost, isFixed, isVolatile } = measureDocument(schema, node, {}, unbounded)
    const fixedCost = isFixed && cost <= limits.maxCost ? cost : undefined
    const predictions = new Map<string, CallPrediction>()
    const introspections = new Map<string, string | undefined>()
    checkFieldPairs(node, limits)
    // Each error finds its lines and columns, which takes as long as the document has lines.
    const problems = validate(schema, node, rules, { hideSuggestions: !isOpen, maxErrors: maxProblems })
      .slice(0, maxProblems)
      .map(shorten)
    return {
      node,
      problems,
      isVolatile,
      mayHaveMessages: /\bmessages\b/.test(text),
      introspection(operationName) {
        const name = operationName ?? ''
        if (introspections.has(name)) return introspections.get(name)
        const key = introspectionKey(node, operationName)
        introspections.set(name, key)
        return key
      },
      cost: (variables) => fixedCost ?? measureDocument(schema, node, variables, limits).cost,
      predict(operationName, variables) {
        const name = operationName ?? ''
        const known = predictions.get(name)
        if (known !== undefined) return known
        const request = { schema, document: node, operationName, variables }
        const { prediction, isFixed } = predictCalls(request)
        if (isFixed) predictions.set(name, prediction)
        return prediction
      },
    }
  }

  /** A document that nests deeper than the stack of the parser exceeds a limit like any other. */
  function readFlat(text: string): Document {
    try {
      return read(text)
    } catch (error) {
      if (error instanceof RangeError) throw new GatewayError('LIMIT_EXCEEDED', 'The document nests too deep')
      throw error
    }
  }

  return {
    parse(text, begin) {
      const known = texts.get(text)
      if (known !== undefined) return known
      const end = begin()
      const before = process.threadCpuUsage()
      try {
        const document = readFlat(text)
        texts.set(text, document, { size: text.length + 1 })
        return document
      } finally {
        const { user, system } = process.threadCpuUsage(before)
        end((user + system) / 1000)
      }
    },
  }
}

/** Shortens an error, which may quote a long part of the document and have many locations. */
function shorten({ message, nodes, extensions: { code } }: GraphQLError): GraphQLError {
  return new GraphQLError(
    message.length > maxMessageLength ? `${message.slice(0, maxMessageLength)}…` : message,
    {
      nodes: nodes?.slice(0, maxPlaces) ?? null,
      // A scalar may say that its value is wrong.
      extensions: { code: code ?? ('GRAPHQL_VALIDATION_FAILED' satisfies ErrorCode) },
    },
  )
}

function parseText(text: string, limits: Limits): DocumentNode {
  const { maxTokens } = limits
  try {
    return parse(text, { maxTokens })
  } catch (error) {
    if (error instanceof GraphQLError && isTokenLimitError(error, text, limits))
      throw new GatewayError('LIMIT_EXCEEDED', `The document has more than ${maxTokens} tokens`)
    throw error instanceof GraphQLError ? withCode(error, 'GRAPHQL_PARSE_FAILED') : error
  }
}
