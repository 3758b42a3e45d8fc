import { addAccount } from '../flowthings/operations/accounts.ts'
import { hashToken, makeTokenText } from '../flowthings/principal.ts'
import type { Store } from '../store/db.ts'
import { findAccount } from '../store/things/accounts.ts'
import { type StoredToken, storedToken } from './stored-token.ts'

/** The demo account of the flowthings API. */
export interface ThingsDemo {
  readonly account: string
  /** Its master token; null if it was replaced. */
  readonly token: string | null
}

/**
 * Adds the demo account, unless an account with its name exists.
 *
 * @param given the master token; by default a new one, which is stored in `DATA_DIR/flowthings-token`
 */
export async function seedThingsDemo(
  store: Store,
  dataDir: string,
  account: string,
  given: string | undefined,
): Promise<ThingsDemo> {
  const file: StoredToken = storedToken(dataDir, 'flowthings-token')
  if ((await findAccount(store.reader, account)) === undefined) {
    const token = given ?? (await file.make(() => makeTokenText(32)))
    await store.write((db) => addAccount(db, account, token, Date.now()))
  }
  const token = given ?? (await file.read())
  const found = await findAccount(store.reader, account)
  const isValid = token !== undefined && found?.token_hash === hashToken(token)
  return { account, token: isValid ? token : null }
}
