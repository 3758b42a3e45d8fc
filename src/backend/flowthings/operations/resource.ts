import type { Access } from '../access.ts'
import type { FindParams } from '../find-params.ts'
import type { Json } from '../present.ts'
import type { Writing } from './writing.ts'

/** The operations on resources of one kind, for HTTP and sockets. Failures are `ThingsError`s. */
export interface Resource {
  read(access: Access, id: unknown): Promise<Json>
  /** The resources with these ids, without those that do not exist or that the principal may not read. */
  readMany(access: Access, ids: readonly unknown[]): Promise<ReadonlyMap<string, Json>>
  find(access: Access, params: FindParams): Promise<Json[]>
  create(writing: Writing, body: unknown): Promise<Json>
  /** Changes the given members. */
  change(writing: Writing, id: unknown, changes: unknown): Promise<Json>
  remove(writing: Writing, id: unknown): Promise<void>
}
