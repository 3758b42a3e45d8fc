import { WritingConnection } from './connection.ts'
import type { Database } from './db.ts'
import { batched } from './prepared.ts'
import type { Batch, Execute } from './transaction-state.ts'

/*
 * When something was last there: the message of a flow, the activity of a member, a user. These columns change all the time, so
 * they are written once for a transaction, and rows that are remembered do not have them.
 */

const setLastMessage = batched<{ flow: string; id: number; sent: number }>((db, { flow, id, sent }) =>
  db.updateTable('flows').set({ last_message_id: id, last_message_at: sent }).where('id', '=', flow),
)
const setLastActivity = batched<{ flow: string; user: number; at: number }>((db, { flow, user, at }) =>
  db
    .updateTable('flow_members')
    .set({ last_activity: at })
    .where('flow_id', '=', flow)
    .where('user_id', '=', user),
)
const setLastActivities = batched<{ user: number; at: number }>((db, { user, at }) =>
  db.updateTable('flow_members').set({ last_activity: at }).where('user_id', '=', user),
)
const setLastAccess = batched<{ user: number; at: number }>((db, { user, at }) =>
  db.updateTable('users').set({ last_access_at: at }).where('id', '=', user),
)

class LastTimes implements Batch {
  readonly tables = ['flows', 'flow_members', 'users']
  readonly #db: Database
  readonly flows = new Map<string, { flow: string; id: number; sent: number }>()
  readonly members = new Map<string, { flow: string; user: number; at: number }>()
  readonly activities = new Map<number, { user: number; at: number }>()
  readonly accesses = new Map<number, { user: number; at: number }>()

  constructor(db: Database) {
    this.#db = db
  }

  flush(execute: Execute): void {
    for (const flow of this.flows.values()) setLastMessage(this.#db, execute, flow)
    for (const member of this.members.values()) setLastActivity(this.#db, execute, member)
    for (const activity of this.activities.values()) setLastActivities(this.#db, execute, activity)
    for (const access of this.accesses.values()) setLastAccess(this.#db, execute, access)
    for (const times of [this.flows, this.members, this.activities, this.accesses]) times.clear()
  }
}

/**
 * Updates the last message of a flow and, if a member sent it, when that member was last active.
 *
 * @throws TypeError outside of a change
 */
export function touchFlow(
  db: Database,
  flow: string,
  { id, sent, userId }: { id: number; sent: number; userId: number },
): void {
  const { flows, members } = lastTimes(db)
  flows.set(flow, { flow, id, sent })
  if (userId !== 0) members.set(`${userId} ${flow}`, { flow, user: userId, at: sent })
}

/** Sets when a user was last active, in all flows of the user. @throws TypeError outside of a change */
export function noteActive(db: Database, user: number, at: number): void {
  lastTimes(db).activities.set(user, { user, at })
}

/** Sets when a user last used the API. @throws TypeError outside of a change */
export function touchUser(db: Database, user: number, at: number): void {
  lastTimes(db).accesses.set(user, { user, at })
}

function lastTimes(db: Database): LastTimes {
  if (!(db instanceof WritingConnection)) throw new TypeError('Times are only set in a change')
  return db.state.batch(LastTimes, db)
}
