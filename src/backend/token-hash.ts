import { hash } from 'node:crypto'

/** What is stored of a token. Tokens are long and random, so one round of a fast hash protects them. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'base64url')
}
