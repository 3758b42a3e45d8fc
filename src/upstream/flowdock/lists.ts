import { UpstreamError } from '../../errors.ts'
import { isRecord } from '../../json-values.ts'
import type { DecodePart } from '../equal-bodies.ts'

/** Receives the error of a list of which not all items could be decoded. */
export type OnUnreadable = (error: UpstreamError) => void

/** A page of a list. */
export interface Page<T> {
  /** Without the items that could not be decoded. */
  readonly items: readonly T[]
  /** How many items the upstream sent; fewer than requested mean the end of the list. */
  readonly sent: number
}

/**
 * Decodes a list. An item that cannot be decoded is left out, so that it does not take the others with it.
 *
 * @param onUnreadable called once if items were left out
 * @param decodePart decodes items that several responses have in common
 * @param decodeAlone as `decode`, and for such an item its result depends on nothing else
 * @throws UpstreamError `UPSTREAM_INVALID` when `value` is not a list, or when none of its items can be decoded
 */
export function decodePage<T extends object>(
  value: unknown,
  decode: (item: unknown) => T,
  onUnreadable: OnUnreadable,
  decodePart?: DecodePart,
  decodeAlone = decode,
): Page<T> {
  if (!Array.isArray(value))
    throw new UpstreamError('UPSTREAM_INVALID', 'The upstream answered without a list')
  const items: T[] = []
  const failures: { readonly item: unknown; readonly error: UpstreamError }[] = []
  for (const item of value as readonly unknown[]) {
    try {
      items.push(decodePart?.(item, decodeAlone) ?? decode(item))
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      failures.push({ item, error })
    }
  }
  const [first] = failures
  if (first === undefined) return { items, sent: value.length }
  if (items.length === 0) throw first.error
  onUnreadable(
    new UpstreamError(
      'UPSTREAM_INVALID',
      `A list is incomplete: ${failures.length} of ${value.length} items could not be read; ${describe(first.item)}: ${first.error.message}`,
    ),
  )
  return { items, sent: value.length }
}

/** As `decodePage`, for a list that has no pages. */
export function decodeList<T extends object>(
  value: unknown,
  decode: (item: unknown) => T,
  onUnreadable: OnUnreadable,
  decodePart?: DecodePart,
): T[] {
  return [...decodePage(value, decode, onUnreadable, decodePart).items]
}

function describe(item: unknown): string {
  const id = isRecord(item) ? item['id'] : undefined
  return typeof id === 'number' || typeof id === 'string'
    ? `the first has the id ${String(id).slice(0, 80)}`
    : 'the first has no id'
}
