import type { TicketKind, Tickets } from '../../tickets.ts'
import { type Credential, parseAuthorization } from './credentials.ts'

/**
 * Tickets that hold a credential and what it is for. The upstream checks the credential at each use, so a ticket ends with the
 * rights of its principal.
 */
export interface SealedCredentials<T> {
  /** @param details anything that JSON keeps as it is */
  seal(credential: Credential, details: T, expiresAt: number): string
  open(
    ticket: string,
  ): { readonly credential: Credential; readonly details: T; readonly expiresAt: number } | undefined
}

export function createSealedCredentials<T>(tickets: Tickets, kind: TicketKind): SealedCredentials<T> {
  return {
    seal: (credential, details, expiresAt) =>
      tickets.seal(kind, JSON.stringify([credential.authorization.reveal(), details]), expiresAt),
    open(ticket) {
      const opened = tickets.open(kind, ticket)
      if (opened === undefined) return undefined
      // Only gateways seal tickets, and another shape would be of another kind or version.
      const [authorization, details] = JSON.parse(opened.value) as [string, T]
      const credential = parseAuthorization(authorization)
      return credential === null ? undefined : { credential, details, expiresAt: opened.expiresAt }
    },
  }
}
