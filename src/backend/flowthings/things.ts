import type { Database, Store } from '../store/db.ts'
import { type Access, createAccess } from './access.ts'
import type { Arrivals } from './arrivals.ts'
import type { FilterCache } from './filter-cache.ts'
import type { Writing } from './operations/writing.ts'
import { findPrincipalByHash, type ThingsPrincipal } from './principal.ts'
import type { Style } from './style.ts'
import { forbidden } from './things-error.ts'

/** The data of all accounts, as requests and frames read and change it. */
export interface Things {
  readonly store: Store
  access(principal: ThingsPrincipal, style: Style): Access
  /**
   * Runs a change in a transaction, in which the credential is checked again: it may have been revoked while the request
   * arrived. Arrivals are published after the commit.
   */
  write<T>(principal: ThingsPrincipal, style: Style, change: (writing: Writing) => Promise<T>): Promise<T>
}

export function createThings(store: Store, filters: FilterCache, arrivals: Arrivals): Things {
  const run = async <T>(
    db: Database,
    principal: ThingsPrincipal,
    style: Style,
    change: (writing: Writing) => Promise<T>,
  ) => {
    const now = Date.now()
    const current = await findPrincipalByHash(db, principal.tokenHash, now)
    if (current === undefined) throw invalidCredential()
    const writing: Writing = {
      ...createAccess({ db, filters, principal: current, now, style }),
      arrivals: [],
    }
    return { result: await change(writing), arrivals: writing.arrivals }
  }
  return {
    store,
    access: (principal, style) =>
      createAccess({ db: store.reader, filters, principal, now: Date.now(), style }),
    async write(principal, style, change) {
      const { result } = await store.write((db) => run(db, principal, style, change), {
        onCommit: (done) => arrivals.publish(done.arrivals),
      })
      return result
    },
  }
}

/** The same for a missing, a wrong and an expired token. */
export function invalidCredential() {
  return forbidden('The account or token is not valid')
}
