import { hasTooManyValues, isRecord, maxRestValues } from '../../../json-values.ts'
import { maxDropBytes } from '../drop-model.ts'
import { Long, parseWithLongs } from '../long.ts'
import type { Json } from '../present.ts'
import type { InputFormat, OutputFormat } from './mqtt-task.ts'

/** A payload that makes no drop; the message says why. */
export class PayloadError extends Error {
  override readonly name = 'PayloadError'
}

/** The element that has what is not a JSON object. */
const element = 'value'

/**
 * The drop of a message, as a client would send it. [flowthings] mqtt task overview: a payload is a drop, such as
 * `{"elems": {"x": 1}}`. Many devices send less: an object without `elems` has the elements, and anything else becomes one element.
 *
 * @throws PayloadError for a payload that is empty or too long
 */
export function toDrop(payload: Uint8Array, format: InputFormat): Json {
  if (payload.length === 0) throw new PayloadError('The message is empty')
  if (payload.length > maxDropBytes)
    throw new PayloadError(`Expected a message to have at most ${maxDropBytes} bytes`)
  const text = decode(payload)
  if (text === undefined)
    return { elems: { [element]: { type: 'bytes', value: Buffer.from(payload).toString('base64') } } }
  const value = format === 'text' ? text : parse(text)
  if (!isRecord(value) || value instanceof Long) return { elems: { [element]: value } }
  return isRecord(value['elems']) ? value : { elems: value }
}

/** The payload for a drop with plain elements. */
export function toPayload(drop: Json, format: OutputFormat): string {
  return JSON.stringify(format === 'elems' ? drop['elems'] : drop)
}

/** @returns undefined for bytes that are not UTF-8 */
function decode(payload: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(payload)
  } catch {
    return undefined
  }
}

/** @returns the JSON value, or the text where it is no JSON */
function parse(text: string): unknown {
  if (hasTooManyValues(text, maxRestValues)) throw new PayloadError('The JSON has too many values')
  try {
    return parseWithLongs(text)
  } catch {
    return text
  }
}
