import { isRecord } from '../../json-values.ts'
import { hasLongRange, Long, parseLong } from './long.ts'

/*
 * The elements of a drop have no schema. They are stored as plain JSON, with only those types that do not follow from the JSON,
 * such as `{"at": "date"}` for `{"at": 1436140800000}`. Version 0.1 of the API returns each element as `{"type": …, "value": …}`,
 * later versions return plain JSON. All versions accept both forms, also mixed. [flowthings] "drop data types"
 */

export interface Elements {
  readonly values: Readonly<Record<string, unknown>>
  /** Types by path. A path has the names from the outermost to the innermost, separated by `/`. `~1` is a slash, `~0` a tilde. */
  readonly types: Readonly<Record<string, string>>
}

/** Invalid elements. The message has the name of the element, and what was expected. */
export class ElementsError extends Error {
  override readonly name = 'ElementsError'
}

/** The most levels of maps and lists. */
const maxDepth = 32

type TypeEntry = [path: string, type: string]

interface ElementType {
  readonly expected: string
  readonly accepts: (value: unknown) => boolean
}

const text: ElementType = { expected: 'a text', accepts: (value) => typeof value === 'string' }
const whole: ElementType = {
  expected: 'a whole number',
  accepts: (value) => Number.isInteger(value) || value instanceof Long,
}
const map: ElementType = { expected: 'an object', accepts: isMap }
const list: ElementType = { expected: 'a list', accepts: Array.isArray }
const quantity: ElementType = {
  expected: 'an object with a number "magnitude"',
  accepts: (value) => isRecord(value) && typeof value['magnitude'] === 'number',
}

/** [flowthings] "drop data types" */
const elementTypes: ReadonlyMap<string, ElementType> = new Map<string, ElementType>([
  ['string', text],
  ['boolean', { expected: 'true or false', accepts: (value) => typeof value === 'boolean' }],
  ['integer', whole],
  ['long', { expected: 'a whole number of 64 bits, or its digits as text', accepts: isLong }],
  ['float', { expected: 'a number', accepts: (value) => typeof value === 'number' || value instanceof Long }],
  ['date', { ...whole, expected: 'milliseconds since 1970, a whole number' }],
  ['null', { expected: 'null', accepts: (value) => value === null }],
  ['map', map],
  ['sortedMap', map],
  ['list', list],
  ['set', list],
  ['sortedSet', list],
  ['location', { expected: 'an object with the numbers "lat" and "lon"', accepts: isLocation }],
  ['text', map],
  ['media', map],
  ['length', quantity],
  ['duration', quantity],
  ['dropRef', map],
  ...['id', 'email', 'uri', 'url', 'phone', 'bytes'].map((name): [string, ElementType] => [name, text]),
])

/** The names of all types that an element can have. */
export const typeNames: ReadonlySet<string> = new Set(elementTypes.keys())

/** Types that contain elements. */
const collections: ReadonlySet<string> = new Set(['map', 'sortedMap', 'list', 'set', 'sortedSet'])

/**
 * Parses the elements of a request, plain or typed.
 *
 * @throws ElementsError when they are not an object, a value does not have its type, or they are nested too deeply
 */
export function parseElements(input: unknown): Elements {
  if (!isRecord(input)) throw new ElementsError('Expected "elems" to be an object')
  const types: TypeEntry[] = []
  const values = parseMembers(input, '', 0, types)
  return { values, types: Object.fromEntries(types) }
}

/** Encodes elements as JSON, with or without types. */
export function printElements(
  { values, types }: Elements,
  style: 'typed' | 'plain',
): Record<string, unknown> {
  if (style === 'plain') return values
  return mapMembers(values, (value, name) => printTyped(value, pathOf('', name), types))
}

/** The type of an element with a name. */
export function typeOfElement(
  name: string,
  value: unknown,
  types: Readonly<Record<string, string>> | undefined,
): string {
  return (types === undefined ? undefined : typeAt(escaped(name), types)) ?? typeOfJson(value)
}

/** Whether a value is a location: degrees north and east. */
export function isLocation(value: unknown): boolean {
  return isRecord(value) && isDegrees(value['lat'], 90) && isDegrees(value['lon'], 180)
}

/** Replaces unpaired surrogates and NUL, which not every database can store. */
export function storableText(value: string): string {
  return value.toWellFormed().replaceAll('\0', '\uFFFD')
}

/** Replaces such characters in all texts and names of a JSON value. @throws ElementsError when it is nested too deeply */
export function storableJson(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return storableText(value)
  // JSON has numbers that are too large for a double, and no way to write what they become.
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new ElementsError('Expected each number to be at most 1.8e308')
  if (typeof value !== 'object' || value === null || value instanceof Long) return value
  if (depth > maxDepth) throw tooDeep()
  if (Array.isArray(value)) return value.map((item) => storableJson(item, depth + 1))
  return mapMembers(value as Record<string, unknown>, (member) => storableJson(member, depth + 1))
}

function parseMembers(
  input: Readonly<Record<string, unknown>>,
  path: string,
  depth: number,
  types: TypeEntry[],
): Record<string, unknown> {
  return mapMembers(input, (value, name) => parseElement(value, pathOf(path, name), depth + 1, types))
}

function parseElement(input: unknown, path: string, depth: number, types: TypeEntry[]): unknown {
  if (depth > maxDepth) throw tooDeep()
  const typed = asTyped(input)
  const type = typed?.type ?? typeOfJson(input)
  const raw = typed === undefined ? input : readLong(typed)
  const { accepts, expected } = elementTypes.get(type) as ElementType
  if (!accepts(raw))
    throw new ElementsError(`Expected the element "${path}" of type ${type} to be ${expected}`)
  const value = collections.has(type)
    ? parseCollection(type, raw, path, depth, types)
    : storableJson(raw, depth)
  if (typeOfJson(value) !== type) types.push([path, type])
  return value
}

function parseCollection(
  type: string,
  raw: unknown,
  path: string,
  depth: number,
  types: TypeEntry[],
): unknown {
  if (isRecord(raw)) {
    const members = parseMembers(raw, path, depth, types)
    return type === 'sortedMap' ? Object.fromEntries(Object.entries(members).sort(byName)) : members
  }
  const items = type === 'list' ? (raw as unknown[]) : distinct(raw as unknown[], type === 'sortedSet')
  return items.map((item, index) => parseElement(item, pathOf(path, String(index)), depth + 1, types))
}

function printTyped(value: unknown, path: string, types: Readonly<Record<string, string>>): unknown {
  const type = typeAt(path, types) ?? typeOfJson(value)
  if (!collections.has(type)) return { type, value }
  const inner = Array.isArray(value)
    ? value.map((item, index) => printTyped(item, pathOf(path, String(index)), types))
    : mapMembers(value as Record<string, unknown>, (member, name) =>
        printTyped(member, pathOf(path, name), types),
      )
  return { type, value: inner }
}

/** Recognizes `{type, value}` with a known type. Any other object is an ordinary map. */
function asTyped(input: unknown): { type: string; value: unknown } | undefined {
  if (!isRecord(input) || !Object.hasOwn(input, 'value') || Object.keys(input).length !== 2) return undefined
  const { type, value } = input
  return typeof type === 'string' && typeNames.has(type) ? { type, value } : undefined
}

/** A `long` may be text: many clients write numbers as doubles. */
function readLong({ type, value }: { readonly type: string; readonly value: unknown }): unknown {
  return type === 'long' && typeof value === 'string' ? (parseLong(value) ?? value) : value
}

const maxInteger = 2 ** 31 - 1

/** The type of a plain JSON value. Whole numbers longer than 32 bits are `long`, and longer than 64 `float`. [flowthings] java-client */
function typeOfJson(value: unknown): string {
  if (typeof value === 'string') return 'string'
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return 'float'
    if (value >= -maxInteger - 1 && value <= maxInteger) return 'integer'
    return isLong(value) ? 'long' : 'float'
  }
  if (value instanceof Long) return 'long'
  if (Array.isArray(value)) return 'list'
  return value === null ? 'null' : 'map'
}

/** Removes repeated items. A typed item is equal to the plain one. */
function distinct(items: readonly unknown[], sorted: boolean): unknown[] {
  const keyed = new Map(items.map((item) => [JSON.stringify(asTyped(item)?.value ?? item), item]))
  if (!sorted) return [...keyed.values()]
  return [...keyed]
    .sort(([left, a], [right, b]) => compareItems(a, b) || compareKeys(left, right))
    .map(([, item]) => item)
}

/** Sorts numbers by value, and other items by their JSON. */
function compareItems(left: unknown, right: unknown): number {
  const [a, b] = [asTyped(left)?.value ?? left, asTyped(right)?.value ?? right]
  return typeof a === 'number' && typeof b === 'number' ? a - b : 0
}

function byName([left]: [string, unknown], [right]: [string, unknown]): number {
  return compareKeys(left, right)
}

function compareKeys(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

function typeAt(path: string, types: Readonly<Record<string, string>>): string | undefined {
  return Object.hasOwn(types, path) ? types[path] : undefined
}

function pathOf(parent: string, name: string): string {
  return parent === '' ? escaped(name) : `${parent}/${escaped(name)}`
}

function escaped(name: string): string {
  return name.includes('/') || name.includes('~') ? name.replaceAll('~', '~0').replaceAll('/', '~1') : name
}

/** Uses `Object.fromEntries`, because an assignment to `__proto__` would not create a member. */
function mapMembers(
  members: Readonly<Record<string, unknown>>,
  change: (value: unknown, name: string) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(members).map(([key, value]) => {
      const name = storableText(key)
      return [name, change(value, name)]
    }),
  )
}

function isMap(value: unknown): boolean {
  return isRecord(value) && !(value instanceof Long)
}

function isLong(value: unknown): boolean {
  if (value instanceof Long) return true
  return typeof value === 'number' && Number.isInteger(value) && hasLongRange(BigInt(value))
}

function isDegrees(value: unknown, most: number): boolean {
  return typeof value === 'number' && Math.abs(value) <= most
}

function tooDeep(): ElementsError {
  return new ElementsError(`Expected elements to be nested at most ${maxDepth} levels deep`)
}
