import type { Decode } from '../equal-bodies.ts'
import { decodeActivity, decodeFlow, decodeFlowUser, decodeReadCount } from './decode.ts'
import { decodeList } from './lists.ts'
import type { AccessMode, ActivityCount, ActivityGroupBy, DetailedFlow, FlowUser } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Flows {
  /** The flows that the user has joined or, with `all`, could join, too. @param withUsers whether to list their members */
  list(scope: 'joined' | 'all', withUsers: boolean): Promise<readonly DetailedFlow[]>
  /**
   * A flow. Null when it does not exist, or the user may not see it.
   *
   * @param withUsers whether to list its members, if the upstream makes a difference; by default it does
   */
  find(by: { id: string } | { path: string }, withUsers?: boolean): Promise<DetailedFlow | null>
  users(path: string): Promise<readonly FlowUser[]>
  create(organization: string, name: string): Promise<DetailedFlow>
  update(path: string, changes: FlowChanges): Promise<DetailedFlow>
  addUser(path: string, userId: number): Promise<void>
  /** Blocks or unblocks a user. */
  setBlocked(path: string, userId: number, blocked: boolean): Promise<void>
  /** Replaces the push token. The old one is refused then. */
  rotatePushToken(path: string): Promise<void>
  /** The number of messages in periods of time. Only some upstreams count. Times are in milliseconds. */
  activity(
    path: string,
    query: { since: number; until: number; bucket: string; groupBy: ActivityGroupBy | undefined },
  ): Promise<ActivityCount[]>
  /** Marks messages as read. Resolves with their number. */
  markRead(path: string, untilMessageId: number | undefined): Promise<number>
}

export interface FlowChanges {
  readonly name?: string | undefined
  readonly description?: string | undefined
  readonly accessMode?: AccessMode | undefined
  /** Whether the flow is open in the user's list. Opening a flow joins it. */
  readonly isOpen?: boolean | undefined
  readonly isArchived?: boolean | undefined
}

const decodeOne: Decode<DetailedFlow> = (json, _, decodePart) => decodeFlow(json, decodePart)
const decodeFlows: Decode<readonly DetailedFlow[]> = (json, onUnreadable, decodePart) =>
  decodeList(json, decodeFlow, onUnreadable, decodePart)
const decodeFlowUsers: Decode<readonly FlowUser[]> = (json, onUnreadable, decodePart) =>
  decodeList(json, decodeFlowUser, onUnreadable, decodePart)

/** [flowdock] flows.md, users.md */
export function createFlows(calls: FlowdockCalls): Flows {
  return {
    async list(scope, withUsers) {
      const path = scope === 'all' ? ['flows', 'all'] : ['flows']
      const json = await calls.get(path, { query: { users: withUsers ? 1 : undefined }, doing: 'list flows' })
      return calls.decode(json, decodeFlows)
    },
    async find(by, withUsers = true) {
      const query = withUsers ? {} : { users: 0 }
      const json =
        'id' in by
          ? await calls.find(['flows', 'find'], { query: { ...by, ...query }, doing: `read flow ${by.id}` })
          : await calls.find(['flows', ...by.path.split('/')], { query, doing: `read flow "${by.path}"` })
      return json === null ? null : calls.decode(json, decodeOne)
    },
    async users(path) {
      const json = await calls.get(['flows', ...path.split('/'), 'users'], {
        doing: `list the users of "${path}"`,
      })
      return calls.decode(json, decodeFlowUsers)
    },
    async create(organization, name) {
      const doing = `create a flow in "${organization}"`
      return decodeFlow(await calls.post(['flows', organization], { body: { name }, doing }))
    },
    async update(path, { name, description, accessMode, isOpen, isArchived }) {
      const body = { name, description, access_mode: accessMode, open: isOpen, disabled: isArchived }
      return decodeFlow(
        await calls.put(['flows', ...path.split('/')], { body, doing: `change flow "${path}"` }),
      )
    },
    async addUser(path, userId) {
      const doing = `add user ${userId} to "${path}"`
      await calls.post(['flows', ...path.split('/'), 'users'], { body: { id: userId }, doing })
    },
    async setBlocked(path, userId, blocked) {
      const doing = `${blocked ? 'block' : 'unblock'} user ${userId} in "${path}"`
      const body = { disabled: blocked }
      await calls.put(['flows', ...path.split('/'), 'users', String(userId)], { body, doing })
    },
    async rotatePushToken(path) {
      const doing = `replace the push token of "${path}"`
      await calls.post(['flows', ...path.split('/'), 'api_token'], { doing })
    },
    async activity(path, { since, until, bucket, groupBy }) {
      const json = await calls.get(['flows', ...path.split('/'), 'activity'], {
        query: {
          since: new Date(since).toISOString(),
          until: new Date(until).toISOString(),
          bucket,
          group_by: groupBy,
        },
        doing: `count the messages of "${path}"`,
      })
      return decodeActivity(json)
    },
    async markRead(path, untilMessageId) {
      const body = untilMessageId === undefined ? {} : { message: untilMessageId }
      const doing = `mark "${path}" read`
      return decodeReadCount(await calls.post(['flows', ...path.split('/'), 'read'], { body, doing }))
    },
  }
}
