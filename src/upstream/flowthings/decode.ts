import { UpstreamError } from '../../errors.ts'
import { hasRfc3339Text } from '../../iso-time.ts'
import { isRecord } from '../../json-values.ts'
import { decodeElements, decodeLocation, plainElements } from './decode-elements.ts'
import type { Authorship, Drop, DropKey, ObjectKind, ThingsFlow, ThingsObject } from './model.ts'

/** Decodes resources of the upstream. Members that the gateway needs must exist and have their type. Others may be missing. */
type Json = Readonly<Record<string, unknown>>

/** @throws UpstreamError `UPSTREAM_INVALID`, as the others */
export function decodeThingsFlow(value: unknown): ThingsFlow {
  const flow = record(value, 'a flow')
  const { capacity } = flow
  return {
    id: text(flow, 'id'),
    path: text(flow, 'path'),
    name: optionalText(flow, 'displayName'),
    description: optionalText(flow, 'description'),
    // [flowthings] flow object overview: 1000 by default
    capacity: typeof capacity === 'number' ? capacity : 1000,
    filter: optionalText(flow, 'filter'),
    isPublic: flow['public'] === true,
    created: decodeAuthorship(flow),
  }
}

export function decodeDrop(value: unknown, hasTypes: boolean): Drop {
  const drop = record(value, 'a drop')
  const { version, elems, parentDropId } = drop
  const elements = decodeElements(elems, hasTypes)
  return {
    id: text(drop, 'id'),
    flowId: text(drop, 'flowId'),
    path: text(drop, 'path'),
    createdAt: requiredTime(drop, 'creationDate'),
    editedAt: time(drop, 'lastEditDate'),
    version: typeof version === 'number' ? version : 0,
    fhash: optionalText(drop, 'fhash'),
    location: decodeLocation(drop['location']),
    parent: decodeDropKey(parentDropId),
    elements,
    json: plainElements(elements),
  }
}

function decodeDropKey(value: unknown): DropKey | null {
  if (!isRecord(value)) return null
  const { flowId, dropId } = value
  return typeof flowId === 'string' && typeof dropId === 'string' ? { flowId, dropId } : null
}

export function decodeThingsObject(kind: ObjectKind, value: unknown): ThingsObject {
  const members = record(value, `a ${kind}`)
  return { kind, id: text(members, 'id'), created: decodeAuthorship(members), members }
}

function decodeAuthorship(resource: Json): Authorship {
  return {
    at: requiredTime(resource, 'creationDate'),
    byId: optionalText(resource, 'creatorId'),
    editedAt: time(resource, 'lastEditDate'),
    editedById: optionalText(resource, 'lastEditorId'),
  }
}

/** A list of resources. */
export function decodeThingsList<T>(value: unknown, decode: (item: unknown) => T): T[] {
  if (!Array.isArray(value)) throw broken('a list')
  return value.map(decode)
}

/** A map of resources by id. The upstream leaves out what does not exist. */
export function decodeThingsMap<T>(value: unknown, decode: (item: unknown) => T): ReadonlyMap<string, T> {
  return new Map(Object.entries(record(value, 'a map')).map(([id, item]) => [id, decode(item)]))
}

/** The numbers of a statistic. */
export function decodeCounts(value: unknown): number[] {
  return decodeThingsList(value, (count) => {
    if (typeof count !== 'number') throw broken('numbers')
    return count
  })
}

export function record(value: unknown, what: string): Json {
  if (isRecord(value)) return value
  throw broken(what)
}

function text(resource: Json, name: string): string {
  const value = resource[name]
  if (typeof value === 'string') return value
  throw broken(`a text as "${name}"`)
}

function optionalText(resource: Json, name: string): string | null {
  const value = resource[name]
  return typeof value === 'string' && value !== '' ? value : null
}

function time(resource: Json, name: string): number | null {
  const value = resource[name]
  return typeof value === 'number' && hasRfc3339Text(value) ? value : null
}

function requiredTime(resource: Json, name: string): number {
  const value = time(resource, name)
  if (value === null) throw broken(`a time as "${name}"`)
  return value
}

function broken(expected: string): UpstreamError {
  return new UpstreamError('UPSTREAM_INVALID', `The flowthings upstream answered without ${expected}`)
}
