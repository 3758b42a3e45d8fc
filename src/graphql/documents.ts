import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  validate,
} from 'graphql'
import { LRUCache } from 'lru-cache'
import type { CallEstimates } from '../call-estimate.ts'
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

/** A text that was parsed and checked; the same for all who send the same text. */
export interface Document {
  readonly node: DocumentNode
  /** What keeps it from being executed; it may be executed when there is nothing. */
  readonly problems: readonly GraphQLError[]
  /**
   * How many fields may be resolved with these variables.
   *
   * @throws GatewayError `LIMIT_EXCEEDED` when those are too many
   */
  cost(variables: Readonly<Record<string, unknown>>): number
  /** The same for all operations that ask the schema alone, and the same of it; undefined for others. */
  introspection(operationName: string | null | undefined): string | undefined
  /** Whether the same question may have another answer though nothing happened. */
  readonly isPassing: boolean
  /** What an operation will ask of the upstream at most. */
  predict(
    operationName: string | null | undefined,
    variables: Readonly<Record<string, unknown>>,
  ): CallPrediction
}

/** Documents as they come, the latest of which are kept. */
export interface Documents {
  /**
   * @param begin called before a document is read that is not known yet; what it returns hears how much time of the
   *   processor that took, in milliseconds
   * @throws GraphQLError for a text that is no document, GatewayError `LIMIT_EXCEEDED` for one that is too long
   */
  parse(text: string, begin: () => (cpuMs: number) => void): Document
}

/** Fields that tell of this moment alone. A text that has such a word elsewhere is taken for one that asks. */
const passingFields = /\b(rateLimit|flowActivity|activity|presence)\b/
/** How many documents are kept, and how long their texts may be in all. */
const kept = { documents: 1000, characters: 4 * 1024 * 1024 }
/** A few are enough to mend a document; hundreds of them would be an answer larger than any document. */
const maxProblems = 5
const maxMessageLength = 300
const maxPlaces = 5

/** @param options `isOpen`: whether the schema may be asked for, and mistakes answered with what was perhaps meant */
export function createDocuments({
  schema,
  estimates,
  limits,
  isOpen,
}: {
  schema: GraphQLSchema
  estimates: CallEstimates
  limits: Limits
  isOpen: boolean
}): Documents {
  const texts = new LRUCache<string, Document>({ max: kept.documents, maxSize: kept.characters })
  const rules = isOpen ? validationRules : [...validationRules, NoSchemaIntrospectionCustomRule]

  function read(text: string): Document {
    checkDocumentSize(text, limits)
    const node = parseText(text, limits)
    const { cost, isFixed } = measureDocument(node, {}, { ...limits, maxCost: Number.POSITIVE_INFINITY })
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
      isPassing: passingFields.test(text),
      introspection(operationName) {
        const name = operationName ?? ''
        if (introspections.has(name)) return introspections.get(name)
        const key = introspectionKey(node, operationName)
        introspections.set(name, key)
        return key
      },
      cost: (variables) => fixedCost ?? measureDocument(node, variables, limits).cost,
      predict(operationName, variables) {
        const name = operationName ?? ''
        const known = predictions.get(name)
        if (known !== undefined) return known
        const { prediction, isFixed } = predictCalls({
          schema,
          estimates,
          document: node,
          operationName,
          variables,
        })
        if (isFixed) predictions.set(name, prediction)
        return prediction
      },
    }
  }

  /** What nests so deep that reading it needs more than the stack is refused like all that is too much. */
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

/** A mistake may repeat what is wrong, however long, and name every place it is at. */
function shorten({ message, nodes }: GraphQLError): GraphQLError {
  return new GraphQLError(
    message.length > maxMessageLength ? `${message.slice(0, maxMessageLength)}…` : message,
    {
      nodes: nodes?.slice(0, maxPlaces) ?? null,
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED' satisfies ErrorCode },
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
