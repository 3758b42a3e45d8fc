import { addAccount } from '../flowthings/operations/accounts.ts'
import { hashToken, makeTokenText } from '../flowthings/principal.ts'
import type { Store } from '../store/db.ts'
import { findAccount } from '../store/things/accounts.ts'
import { type StoredToken, storedToken } from './stored-token.ts'

/** The demo account of the flowthings API. */
export interface ThingsDemo {
  readonly account: string
  /** Its master token; null where another one replaced it. */
  readonly token: string | null
}

/**
 * Adds the demo account, unless there is an account of its name, which is left as it is.
 *
 * @param given its master token; by default one is made and stored in `DATA_DIR/flowthings-token`
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
