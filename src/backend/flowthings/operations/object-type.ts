import type { Database } from '../../store/db.ts'
import type { ObjectRow } from '../../store/things/objects.ts'
import type { Access } from '../access.ts'
import type { ObjectKind } from '../ids.ts'
import type { Json } from '../present.ts'
import type { Writing } from './writing.ts'

/** What is stored of an object. */
export interface ObjectContent {
  readonly members: Json
  /** What it is found by besides its id. */
  readonly subject?: string
  readonly expiresAt?: number
}

/** An object that is being created or changed. */
export interface Draft {
  readonly id: string
  /** What the client sent, without the members that the server sets. */
  readonly given: Json
  /** The members before a change; undefined for a new object. */
  readonly before: Json | undefined
}

/** What distinguishes one kind of object from the others. */
export interface ObjectType {
  readonly kind: ObjectKind
  /** Whether objects of this kind can be created, changed and deleted by clients. */
  readonly allows: { readonly create: boolean; readonly change: boolean; readonly remove: boolean }
  /** @throws ThingsError 400 for members that are not valid, 403 where the principal may not */
  parse(writing: Writing, draft: Draft): Promise<ObjectContent>
  /** Whether the token of an application sees an object of its account. The master token sees all of them. */
  isSeenByToken(access: Access, row: ObjectRow, members: Json): boolean
  /** Members that are stored and not shown. */
  readonly hidden?: readonly string[]
  /** Members that are computed when an object is shown. */
  compute?(access: Access, row: ObjectRow, members: Json): Promise<Json>
  /** What belongs to an object and is written after it. */
  afterWrite?(writing: Writing, row: ObjectRow, members: Json): Promise<void>
  beforeRemove?(db: Database, row: ObjectRow, members: Json): Promise<void>
}
