import { type ApplicationRow, insertApplication } from '../../store/applications.ts'
import type { Database } from '../../store/db.ts'
import { makeToken } from '../auth.ts'
import { isWebUrl } from '../web-url.ts'

/** [flowdock] authentication.md: where a code is shown to the person instead of being sent anywhere. */
export const outOfBand = 'urn:ietf:wg:oauth:2.0:oob'

/** Whether authorization codes can be sent there. */
export function isRedirectUri(text: string): boolean {
  if (text === outOfBand) return true
  return isWebUrl(text) && new URL(text).hash === ''
}

/** Gives an application an id and a secret. */
export async function registerApplication(
  db: Database,
  application: {
    name: string
    redirectUri: string
    ownerId: number
    iconUrl?: string | null
    url?: string | null
  },
): Promise<ApplicationRow> {
  return insertApplication(db, {
    name: application.name,
    redirect_uri: application.redirectUri,
    icon_url: application.iconUrl ?? null,
    url: application.url ?? null,
    client_id: makeToken() + makeToken(),
    client_secret: makeToken() + makeToken(),
    owner_id: application.ownerId,
  })
}
