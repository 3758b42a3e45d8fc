import type { Change } from '../../store/change.ts'
import { listAllFlows } from '../../store/flows.ts'
import { listOrganizationUsers } from '../../store/organizations.ts'
import { deactivateOrganization } from '../../store/rights.ts'
import { setArchived } from './flows.ts'
import { removeFromOrganization } from './members.ts'

export { insertOrganization } from '../../store/organizations.ts'
export { renameOrganization } from '../../store/rights.ts'

/** Closes an organization: its users leave and its flows are archived. Messages stay, and no user can read them. */
export async function closeOrganization(change: Change, id: number): Promise<void> {
  for (const user of await listOrganizationUsers(change.db, id))
    await removeFromOrganization(change, id, user.id)
  for (const flow of await listAllFlows(change.db))
    if (flow.organization_id === id) await setArchived(change, flow, true)
  await deactivateOrganization(change, id)
}
