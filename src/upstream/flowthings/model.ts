/** A flow of flowthings: a path with drops. */
export interface ThingsFlow {
  readonly id: string
  readonly path: string
  readonly name: string | null
  readonly description: string | null
  /** The most drops that it stores. With 0, drops are only delivered. */
  readonly capacity: number
  /** The filter that new drops must match. */
  readonly filter: string | null
  readonly isPublic: boolean
  readonly created: Authorship
}

/** When and by whom an object was created and changed. */
export interface Authorship {
  /** All times are in milliseconds since 1970. */
  readonly at: number
  readonly byId: string | null
  readonly editedAt: number | null
  readonly editedById: string | null
}

export interface Drop {
  readonly id: string
  readonly flowId: string
  readonly path: string
  readonly createdAt: number
  readonly editedAt: number | null
  readonly version: number
  /** A key that is unique in the flow. A new drop with the same key replaces the drop. */
  readonly fhash: string | null
  readonly location: ThingsLocation | null
  /** The drop from which a track created this one. */
  readonly parent: DropKey | null
  readonly elements: readonly DropElement[]
  /** The elements as plain JSON, without types. */
  readonly json: Readonly<Record<string, unknown>>
}

/** Identifies a drop. */
export interface DropKey {
  readonly flowId: string
  readonly dropId: string
}

export interface ThingsLocation {
  readonly latitude: number
  readonly longitude: number
  /** Further members, such as `city`. */
  readonly specifiers: Readonly<Record<string, unknown>> | null
}

/** A named value of a drop, or of a map in a drop. */
export interface DropElement {
  readonly name: string
  readonly value: ElementValue
}

/** The value of an element. `type` is its type with the name of the upstream, and `json` the value without types. */
export type ElementValue = { readonly type: string; readonly json: unknown } & (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly number: number }
  | { readonly kind: 'boolean'; readonly boolean: boolean }
  | { readonly kind: 'time'; readonly time: number }
  | { readonly kind: 'location'; readonly location: ThingsLocation }
  | { readonly kind: 'quantity'; readonly magnitude: number; readonly unit: string }
  | { readonly kind: 'drop'; readonly key: DropKey }
  | { readonly kind: 'list'; readonly items: readonly ElementValue[] }
  | { readonly kind: 'map'; readonly entries: readonly DropElement[] }
  | { readonly kind: 'other' }
)

/** A row of an aggregation: the values that its drops have in common, and what was computed, by their selectors. */
export interface AggregationRow {
  readonly keys: readonly DropElement[]
  readonly values: readonly DropElement[]
  /** The row as the upstream sent it, with the keys in `id`. */
  readonly json: Readonly<Record<string, unknown>>
}

/** The kinds of objects other than flows and drops, as in the paths of the REST API. */
export const objectKinds = [
  'track',
  'group',
  'identity',
  'token',
  'share',
  'device',
  'api-task',
  'mqtt',
  'rss',
] as const
export type ObjectKind = (typeof objectKinds)[number]

/** An object that is not a flow or drop. Its members depend on its kind. */
export interface ThingsObject {
  readonly kind: ObjectKind
  readonly id: string
  readonly created: Authorship
  readonly members: Readonly<Record<string, unknown>>
}

/** The permissions of a token or share at a path and all paths below it. */
export interface PathPermission {
  readonly path: string
  readonly permissions: readonly string[]
}
