import type { Scope } from './route.ts'

/** [flowdock] authentication.md, "Scopes", with the description that the user is asked to allow. */
export const scopes: Readonly<Record<Scope, string>> = {
  flow: 'read and send messages in your flows',
  private: 'read and send your private messages',
  manage: 'manage flows, organizations and their members',
  profile: 'read and change your profile',
  offline_access: 'do so for as long as you do not revoke it',
  integration: 'add itself as a source of your flows',
}

/** The requested scopes, in their order; the default ones when the application requests none. */
export function parseScopes(text: string | undefined): Scope[] | undefined {
  const names = (text ?? '').split(/[\s,]+/).filter((name) => name !== '')
  if (names.length === 0) return ['flow', 'private']
  return names.every(isScope) ? [...new Set(names)] : undefined
}

function isScope(name: string): name is Scope {
  return Object.hasOwn(scopes, name)
}
