import { isRecord, mayHaveLongNumbers } from '../../json-values.ts'
import type { DropRow } from '../store/things/drops.ts'
import type { FlowRow } from '../store/things/flows.ts'
import type { Subject } from './filter/subject.ts'
import { parseObject } from './flow-model.ts'
import { parseWithLongs } from './long.ts'
import { type Json, present } from './present.ts'
import type { Style } from './style.ts'
import { badRequest } from './things-error.ts'
import { type Elements, ElementsError, isLocation, parseElements, printElements } from './values.ts'

/** The members of a drop as they are stored in its row. */
export interface StoredDrop {
  readonly version: number
  readonly elems: Elements['values']
  /** The types of elements that do not follow from their JSON. */
  readonly types?: Elements['types']
  readonly lastEditDate?: number
  readonly location?: Json
  readonly parentDropId?: Json
  readonly [member: string]: unknown
}

/** The members of a drop that clients can set. */
export interface DropMembers {
  readonly elements: Elements
  readonly fhash: string | null
  /** `location`, `parentDropId`, and all other members that the client sent. */
  readonly rest: Json
}

/** The longest JSON of a drop. */
export const maxDropBytes = 256 * 1024
const maxFhashCharacters = 512
/** Members that the server handles itself, and names of columns. */
const handled = new Set(['elems', 'fhash', 'flowId', 'path', 'version', 'types'])

/** @throws ThingsError 400 */
export function parseDrop(input: unknown, before: DropMembers | undefined): DropMembers {
  if (!isRecord(input)) throw badRequest('Expected a drop to be a JSON object')
  const { elems, fhash = before?.fhash, location } = input
  if (location !== undefined && location !== null && !isLocation(location))
    throw badRequest('Expected "location" to be an object with the numbers "lat" and "lon"')
  const others = parseObject(Object.fromEntries(Object.entries(input).filter(([name]) => !handled.has(name))))
  return {
    elements: elems === undefined ? (before?.elements ?? { values: {}, types: {} }) : readElements(elems),
    fhash: readFhash(fhash),
    rest: present({ ...before?.rest, ...others }),
  }
}

function readElements(input: unknown): Elements {
  try {
    return parseElements(input)
  } catch (error) {
    throw error instanceof ElementsError ? badRequest(error.message) : error
  }
}

function readFhash(value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null
  if (typeof value !== 'string' || value.length > maxFhashCharacters)
    throw badRequest(`Expected "fhash" to be a text of at most ${maxFhashCharacters} characters`)
  return value.toWellFormed().replaceAll('\0', '\uFFFD')
}

/** Encodes the members of a drop for its row. @throws ThingsError 400 when they are too long */
export function toStored(
  { elements, rest }: DropMembers,
  version: number,
  editedAt: number | undefined,
): string {
  const hasTypes = Object.keys(elements.types).length > 0
  const stored: StoredDrop = {
    ...rest,
    ...(editedAt === undefined ? {} : { lastEditDate: editedAt }),
    version,
    elems: elements.values,
    ...(hasTypes ? { types: elements.types } : {}),
  }
  const json = JSON.stringify(stored)
  if (Buffer.byteLength(json) > maxDropBytes)
    throw badRequest(`Expected a drop to have at most ${maxDropBytes} bytes of JSON`)
  return json
}

export function readStored(row: Pick<DropRow, 'drop_json'>): StoredDrop {
  return parseWithLongs(row.drop_json) as StoredDrop
}

export function membersOf(
  row: DropRow,
  { elems, types, version: _, lastEditDate: __, ...rest }: StoredDrop,
): DropMembers {
  return { elements: { values: elems, types: types ?? {} }, fhash: row.fhash, rest }
}

/** A drop as filters read it: they compare numbers as doubles. */
export function toSubject(
  flow: Pick<FlowRow, 'id' | 'path'>,
  row: Pick<DropRow, 'id' | 'created_at' | 'fhash' | 'drop_json'>,
  stored: StoredDrop,
): Subject {
  const { elems, types, ...rest } = mayHaveLongNumbers(row.drop_json)
    ? (JSON.parse(row.drop_json) as StoredDrop)
    : stored
  return {
    ...rest,
    id: row.id,
    flowId: flow.id,
    path: flow.path,
    creationDate: row.created_at,
    ...(row.fhash === null ? {} : { fhash: row.fhash }),
    elems,
    ...(types === undefined ? {} : { elementTypes: types }),
  }
}

export function encodeDrop(
  flow: Pick<FlowRow, 'id' | 'path'>,
  row: DropRow,
  stored: StoredDrop,
  style: Style,
): Json {
  const { elems, types = {}, ...rest } = stored
  return {
    id: row.id,
    flowId: flow.id,
    path: flow.path,
    creationDate: row.created_at,
    ...rest,
    ...(row.fhash === null ? {} : { fhash: row.fhash }),
    elems: printElements({ values: elems, types }, style),
  }
}
