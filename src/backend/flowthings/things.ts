import type { Database, Store } from '../store/db.ts'
import { findAccountById } from '../store/things/accounts.ts'
import { type Access, createAccess } from './access.ts'
import type { Arrivals } from './arrivals.ts'
import type { FilterCache } from './filter-cache.ts'
import { triggerDropRules } from './operations/drop-rules.ts'
import { beginWriting, type Writing } from './operations/writing.ts'
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
  /** The same for what the server itself does with the rights of an account. */
  writeAsAccount<T>(accountId: number, change: (writing: Writing) => Promise<T>): Promise<T>
}

export interface ThingsOptions {
  readonly store: Store
  readonly filters: FilterCache
  readonly arrivals: Pick<Arrivals, 'store' | 'publish'>
  /** Called after a commit that left work for functions of tracks. */
  readonly onScriptJobs: () => void
  /** Called after a commit that left jobs for rules. */
  readonly onRuleJobs: () => void
}

export function createThings(options: ThingsOptions): Things {
  const { store, filters, arrivals, onScriptJobs, onRuleJobs } = options

  async function write<T>(
    find: (db: Database, now: number) => Promise<ThingsPrincipal>,
    style: Style,
    change: (writing: Writing) => Promise<T>,
  ): Promise<T> {
    const run = async (db: Database) => {
      const now = Date.now()
      const access = createAccess({ db, filters, principal: await find(db, now), now, style })
      const writing = beginWriting(access)
      const result = await change(writing)
      await triggerDropRules(writing)
      return { result, writing, arrived: await arrivals.store(db, now, writing.arrivals) }
    }
    const { result } = await store.write(run, {
      onCommit({ writing, arrived }) {
        arrivals.publish(arrived)
        if (writing.hasScriptJobs) onScriptJobs()
        if (writing.hasRuleJobs) onRuleJobs()
      },
    })
    return result
  }

  return {
    store,
    access: (principal, style) =>
      createAccess({ db: store.reader, filters, principal, now: Date.now(), style }),
    write: ({ tokenHash }, style, change) =>
      write(
        async (db, now) => {
          const current = await findPrincipalByHash(db, tokenHash, now)
          if (current === undefined) throw invalidCredential()
          return current
        },
        style,
        change,
      ),
    writeAsAccount: (accountId, change) =>
      write(
        async (db) => {
          const account = await findAccountById(db, accountId)
          if (account === undefined) throw invalidCredential()
          return { account, tokenHash: account.token_hash, token: undefined, expiresAt: undefined }
        },
        'typed',
        change,
      ),
  }
}

/** The same for a missing, a wrong and an expired token. */
export function invalidCredential() {
  return forbidden('The account or token is not valid')
}
