import type { Database } from '../store/db.ts'
import { isFlowSlugTaken } from '../store/flows.ts'

/** A name in lower case with dashes, for a URL. */
export function toSlug(name: string): string {
  const words = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  return words.replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '')
}

/** Whether a flow may have the slug: no other flow of the organization has it, and no resource of the API. */
export async function isSlugFree(db: Database, organizationId: number, slug: string): Promise<boolean> {
  return !['all', 'find'].includes(slug) && !(await isFlowSlugTaken(db, organizationId, slug))
}

/** The slug of a new flow; it ends with a number if another flow of the organization has the same name. */
export async function freeSlug(db: Database, organizationId: number, name: string): Promise<string> {
  const slug = toSlug(name) || 'flow'
  let candidate = slug
  for (let number = 2; !(await isSlugFree(db, organizationId, candidate)); number += 1)
    candidate = `${slug}-${number}`
  return candidate
}
