import type { Database } from '../store/db.ts'
import { isFlowSlugTaken } from '../store/flows.ts'

/** A name as it stands in addresses: lower case with dashes. */
export function toSlug(name: string): string {
  const words = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  return words.replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '')
}

/** The slug of a new flow; with a number behind it while another flow of the organization has it. */
export async function freeSlug(db: Database, organizationId: number, name: string): Promise<string> {
  const slug = toSlug(name) || 'flow'
  // The names of sub-resources would hide such a flow.
  const taken = async (candidate: string) =>
    ['all', 'find'].includes(candidate) || (await isFlowSlugTaken(db, organizationId, candidate))
  let candidate = slug
  for (let number = 2; await taken(candidate); number += 1) candidate = `${slug}-${number}`
  return candidate
}
