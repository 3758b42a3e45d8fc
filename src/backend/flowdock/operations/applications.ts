import { type ApplicationRow, insertApplication } from '../../store/applications.ts'
import type { Change } from '../../store/change.ts'
import { makeToken } from '../auth.ts'
import { isWebUrl } from '../web-url.ts'

/** [flowdock] authentication.md: the authorization code is shown to the user instead of being sent to a URL. */
export const outOfBand = 'urn:ietf:wg:oauth:2.0:oob'

/** Whether authorization codes can be sent to this URL. */
export function isRedirectUri(text: string): boolean {
  if (text === outOfBand) return true
  return isWebUrl(text) && new URL(text).hash === ''
}

/** Registers an application, with a client id and a secret. */
export async function registerApplication(
  { db }: Change,
  application: {
    name: string
    redirectUri: string
    ownerId: number
    iconUrl?: string | null | undefined
    url?: string | null | undefined
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
