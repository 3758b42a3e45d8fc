import { hasRfc3339Text } from '../../iso-time.ts'
import { isRecord } from '../../json-values.ts'
import type { DropElement, ElementValue, ThingsLocation } from './model.ts'

/**
 * Decodes the elements of a drop.
 *
 * @param hasTypes whether values are `{"type", "value"}`. [flowthings] drop data types
 */
export function decodeElements(value: unknown, hasTypes: boolean): DropElement[] {
  return isRecord(value)
    ? Object.entries(value).map(([name, element]) => ({ name, value: decodeElement(element, hasTypes) }))
    : []
}

function decodeElement(value: unknown, hasTypes: boolean): ElementValue {
  return hasTypes && isTyped(value)
    ? decodeTyped(value.type, value.value, hasTypes)
    : decodeTyped(inferType(value), value, hasTypes)
}

function isTyped(value: unknown): value is { type: string; value: unknown } {
  return isRecord(value) && typeof value['type'] === 'string' && 'value' in value
}

/** The type of a plain JSON value. [flowthings] java-client */
function inferType(value: unknown): string {
  if (typeof value === 'string') return 'string'
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'number') return typeOfNumber(value)
  if (Array.isArray(value)) return 'list'
  return isRecord(value) ? 'map' : 'null'
}

const [integerEnd, longEnd] = [2 ** 31, 2 ** 63]

function typeOfNumber(value: number): string {
  if (!Number.isInteger(value)) return 'float'
  if (value >= -integerEnd && value < integerEnd) return 'integer'
  return value >= -longEnd && value < longEnd ? 'long' : 'float'
}

function decodeTyped(type: string, value: unknown, hasTypes: boolean): ElementValue {
  if (type === 'date' && typeof value === 'number' && hasRfc3339Text(value))
    return { kind: 'time', type, json: value, time: value }
  if (typeof value === 'number') return { kind: 'number', type, json: value, number: value }
  if (typeof value === 'boolean') return { kind: 'boolean', type, json: value, boolean: value }
  if (typeof value === 'string') return { kind: 'text', type, json: value, text: value }
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => decodeElement(item, hasTypes))
    return { kind: 'list', type, json: items.map(({ json }) => json), items }
  }
  if (!isRecord(value)) return { kind: 'other', type, json: value ?? null }
  return decodeRecord(type, value, hasTypes)
}

function decodeRecord(
  type: string,
  value: Readonly<Record<string, unknown>>,
  hasTypes: boolean,
): ElementValue {
  const { magnitude, unit, flowId, dropId } = value
  if (type === 'location') {
    const location = decodeLocation(value)
    if (location !== null) return { kind: 'location', type, json: value, location }
  }
  if ((type === 'length' || type === 'duration') && typeof magnitude === 'number')
    return { kind: 'quantity', type, json: value, magnitude, unit: String(unit ?? '') }
  if (type === 'dropRef' && typeof flowId === 'string' && typeof dropId === 'string')
    return { kind: 'drop', type, json: value, key: { flowId, dropId } }
  if (type !== 'map' && type !== 'sortedMap') return { kind: 'other', type, json: value }
  const entries = decodeElements(value, hasTypes)
  return { kind: 'map', type, json: plainElements(entries), entries }
}

/** The elements as plain JSON without types. */
export function plainElements(elements: readonly DropElement[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(elements.map(({ name, value }) => [name, value.json]))
}

/** Null for an invalid location. */
export function decodeLocation(value: unknown): ThingsLocation | null {
  if (!isRecord(value)) return null
  const { lat, lon, specifiers } = value
  if (typeof lat !== 'number' || typeof lon !== 'number') return null
  return { latitude: lat, longitude: lon, specifiers: isRecord(specifiers) ? specifiers : null }
}
