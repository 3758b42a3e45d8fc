import type { Database } from '../store/db.ts'
import { listNicks } from '../store/users.ts'
import { isGroupName } from './tags.ts'

/** What is wrong with a nick by itself; undefined when nothing is. */
export function nickProblem(nick: string): string | undefined {
  // Invisible characters would make two nicks look alike.
  if (!/^[^\s\p{C}]{1,50}$/u.test(nick)) return 'must be 1 to 50 characters without whitespace'
  return isGroupName(nick) ? 'is the name of a group of people' : undefined
}

/**
 * Whether another user of one of the organizations has the nick, in any case: a mention could mean either.
 *
 * @param userId whose nick it is to be; undefined for a new user
 */
export async function isNickTaken(
  db: Database,
  organizationIds: readonly number[],
  nick: string,
  userId: number | undefined,
): Promise<boolean> {
  const wanted = nick.toLowerCase()
  const users = await listNicks(db, organizationIds)
  return users.some(({ id, nick: other }) => id !== userId && other.normalize().toLowerCase() === wanted)
}
