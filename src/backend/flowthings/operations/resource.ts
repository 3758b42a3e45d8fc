import type { Access } from '../access.ts'
import type { FindParams } from '../find-params.ts'
import type { Json } from '../present.ts'
import type { Writing } from './writing.ts'

/** What can be done with resources of one kind, over HTTP and over sockets alike. Failures are `ThingsError`s. */
export interface Resource {
  read(access: Access, id: unknown): Promise<Json>
  /** Without those that are not there, or not seen by the principal. */
  readMany(access: Access, ids: readonly unknown[]): Promise<ReadonlyMap<string, Json>>
  find(access: Access, params: FindParams): Promise<Json[]>
  create(writing: Writing, body: unknown): Promise<Json>
  /** Changes the members that are given. */
  change(writing: Writing, id: unknown, changes: unknown): Promise<Json>
  remove(writing: Writing, id: unknown): Promise<void>
}
