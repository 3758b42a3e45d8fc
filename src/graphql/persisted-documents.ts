import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { GatewayError, ValidationError } from '../errors.ts'
import { isRecord } from '../json-values.ts'

/** The parameters that name a document: its text, or a hash. */
export interface DocumentParams {
  readonly query?: unknown
  readonly documentId?: unknown
  readonly extensions?: unknown
}

/** Documents by the SHA-256 of their texts, in hexadecimal. */
export interface PersistedDocuments {
  /**
   * Finds the text of a document. A text that comes with its hash is stored for clients that send the hash alone.
   *
   * @returns undefined when the parameters name none
   * @throws GatewayError `PERSISTED_QUERY_NOT_FOUND` for a hash that is not known, ValidationError for one of another text
   */
  find(params: DocumentParams): string | undefined
  /** @throws GatewayError `FORBIDDEN` for a text that may not be executed */
  check(text: string): void
}

export interface PersistedDocumentOptions {
  /** The only texts that may be executed; undefined for any text. */
  readonly trusted: readonly string[] | undefined
  /** Longer texts are not stored, in characters. */
  readonly maxLength: number
}

/** Bounds of the texts that clients registered. */
const maxRegistered = { documents: 1000, characters: 4 * 1024 * 1024 }

/**
 * Automatic persisted queries (`extensions.persistedQuery`), persisted documents (`documentId`), and trusted documents.
 * [spec] GraphQL over HTTP, appendix "Persisted Documents"
 */
export function createPersistedDocuments({
  trusted,
  maxLength,
}: PersistedDocumentOptions): PersistedDocuments {
  const fixed = trusted && new Map(trusted.map((text) => [hashOf(text), text]))
  const allowed = trusted && new Set(trusted)
  const registered = new LRUCache<string, string>({
    max: maxRegistered.documents,
    maxSize: maxRegistered.characters,
  })

  return {
    find({ query, documentId, extensions }) {
      const hash = hashIn(extensions) ?? idIn(documentId)
      const text = typeof query === 'string' && query !== '' ? query : undefined
      if (hash === undefined) return typeof query === 'string' ? query : undefined
      if (text === undefined) {
        const known = fixed?.get(hash) ?? registered.get(hash)
        if (known === undefined) throw new GatewayError('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound')
        return known
      }
      if (hashOf(text) !== hash)
        throw new ValidationError('Expected the hash to be the SHA-256 of the document, in hexadecimal')
      if (fixed === undefined && text.length <= maxLength) registered.set(hash, text, { size: text.length })
      return text
    },
    check(text) {
      if (allowed !== undefined && !allowed.has(text))
        throw new GatewayError('FORBIDDEN', 'Only the trusted documents of this gateway are executed')
    },
  }
}

/**
 * Reads a file of trusted documents, which build tools of clients write: a JSON object with a text for each hash.
 *
 * @throws Error for anything else, or a hash that is not the SHA-256 of its text
 */
export function readTrustedDocuments(json: string): string[] {
  const documents: unknown = JSON.parse(json)
  if (!isRecord(documents))
    throw new Error('Expected trusted documents to be a JSON object with a text for each hash')
  return Object.entries(documents).map(([id, text]) => {
    if (typeof text !== 'string' || id.replace(/^sha256:/, '') !== hashOf(text))
      throw new Error(`Expected "${id.slice(0, 80)}" to be the SHA-256 of its document, in hexadecimal`)
    return text
  })
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** [Apollo] automatic persisted queries */
function hashIn(extensions: unknown): string | undefined {
  if (!isRecord(extensions) || !('persistedQuery' in extensions)) return undefined
  const { version, sha256Hash } = (extensions['persistedQuery'] ?? {}) as Record<string, unknown>
  if (version !== 1 || typeof sha256Hash !== 'string' || !/^[0-9a-f]{64}$/.test(sha256Hash))
    throw new ValidationError(
      'Expected extensions.persistedQuery to be { "version": 1, "sha256Hash": "<64 hexadecimal digits>" }',
    )
  return sha256Hash
}

function idIn(documentId: unknown): string | undefined {
  if (documentId === undefined || documentId === null) return undefined
  if (typeof documentId === 'string' && documentId.trim() === '') return undefined
  const [, hash] = typeof documentId === 'string' ? (/^sha256:([0-9a-f]{64})$/.exec(documentId) ?? []) : []
  if (hash === undefined)
    throw new ValidationError('Expected documentId to be "sha256:<64 hexadecimal digits>"')
  return hash
}
