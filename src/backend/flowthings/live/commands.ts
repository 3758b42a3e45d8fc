import { isRecord } from '../../../json-values.ts'
import type { Access } from '../access.ts'
import type { Outcome } from '../envelope.ts'
import { parseFindParams, parsePresentation, type Query } from '../find-params.ts'
import { parseWithLongs } from '../long.ts'
import {
  createDrop,
  type FlowAddress,
  findDropsOf,
  readDrop,
  requireFlowOf,
  updateDrop,
} from '../operations/drop-requests.ts'
import { removeDrop } from '../operations/drops.ts'
import type { Resource } from '../operations/resource.ts'
import { resources } from '../operations/resources.ts'
import { project } from '../present.ts'
import type { Things } from '../things.ts'
import { badRequest } from '../things-error.ts'
import type { Session } from './sessions.ts'
import type { Subscriber, Subscriptions } from './subscriptions.ts'

/** A command of a client. [flowthings] websocket API */
export interface Command {
  readonly type: string
  readonly object: string
  /** Returned unchanged with the reply. Without it, no reply is sent. */
  readonly msgId: unknown
  readonly id: unknown
  readonly address: FlowAddress
  readonly value: unknown
  readonly options: Query
}

/** @returns undefined for heartbeats, and for texts that are not commands. They get no reply */
export function parseCommand(text: string): Command | undefined {
  let frame: unknown
  try {
    frame = parseWithLongs(text)
  } catch {
    return undefined
  }
  if (!isRecord(frame)) return undefined
  const { type, object, msgId, id, flowId, path, value, options } = frame
  if (typeof type !== 'string' || type === 'heartbeat') return undefined
  return {
    ...{ type, object: String(object ?? ''), msgId, value },
    // Clients send the id of a drop, a pair of the flow's and the drop's id, or a list with one id.
    id: Array.isArray(id) ? id.at(-1) : id,
    address:
      Array.isArray(id) && id.length === 2
        ? { flowId: id[0] }
        : { flowId: flowId ?? undefined, path: path ?? undefined },
    options: isRecord(options) ? options : {},
  }
}

/** Whether a command changes subscriptions. Such a command waits for all earlier ones, and later ones wait for it. */
export function changesSubscriptions({ type }: Command): boolean {
  return type === 'subscribe' || type === 'unsubscribe'
}

export interface CommandContext {
  readonly things: Things
  readonly session: Session
  readonly subscriptions: Subscriptions
  readonly subscriber: Subscriber
}

/** Executes a command. @throws ThingsError */
export async function execute(context: CommandContext, command: Command): Promise<Outcome> {
  if (command.object === 'drop') return executeForDrops(context, command)
  const resource = resources.get(command.object)
  if (resource === undefined)
    throw badRequest(
      `Expected "object" to be drop, ${[...resources.keys()].join(', ')}; got "${command.object.slice(0, 60)}"`,
    )
  return executeForResource(context, command, resource)
}

async function executeForDrops(
  { things, session, subscriptions, subscriber }: CommandContext,
  command: Command,
): Promise<Outcome> {
  const { principal } = session
  const { type, id, address, value, options } = command
  const { style, only } = parsePresentation(options, session.style)
  const access = () => things.access(principal, session.style)
  switch (type) {
    case 'subscribe':
      subscriptions.add(subscriber, await subscribedFlow(access(), address))
      return { status: 200, body: {} }
    case 'unsubscribe':
      subscriptions.remove(subscriber, await subscribedFlow(access(), address))
      return { status: 200, body: {} }
    case 'create': {
      const drop = await things.write(principal, session.style, (writing) =>
        createDrop(writing, address, value, style),
      )
      return { status: 201, body: project(drop, only) }
    }
    case 'find':
      if (id === undefined) break
      return { status: 200, body: project(await readDrop(access(), address, id, style), only) }
    case 'findmany': {
      const found = await findDropsOf(access(), address, parseFindParams(options), style)
      return { status: 200, body: found.map((drop) => project(drop, only)) }
    }
    case 'update': {
      const drop = await things.write(principal, session.style, (writing) =>
        updateDrop(writing, address, id, value, style),
      )
      return { status: 200, body: project(drop, only) }
    }
    case 'delete':
      await things.write(principal, session.style, async (writing) =>
        removeDrop(writing, await requireFlowOf(writing, address, 'dropWrite'), id),
      )
      return { status: 200, body: {} }
  }
  throw unknownType(command, 'create, find, findmany, update, delete, subscribe, unsubscribe')
}

/** The flow to subscribe to, by its id or its path. [flowthings] client of 2015 */
async function subscribedFlow(access: Access, { flowId, path }: FlowAddress): Promise<string> {
  const isPath = typeof flowId === 'string' && flowId.startsWith('/')
  const flow = await requireFlowOf(access, isPath ? { path: flowId } : { flowId, path }, 'dropRead')
  return flow.id
}

async function executeForResource(
  { things, session }: CommandContext,
  command: Command,
  resource: Resource,
): Promise<Outcome> {
  const { principal, style } = session
  const { type, id, value, options } = command
  const { only } = parsePresentation(options, style)
  const access = () => things.access(principal, style)
  switch (type) {
    case 'create': {
      const created = await things.write(principal, style, (writing) => resource.create(writing, value))
      return { status: 201, body: project(created, only) }
    }
    case 'find':
      return { status: 200, body: project(await resource.read(access(), id), only) }
    case 'findmany': {
      const found = await resource.find(access(), parseFindParams(options))
      return { status: 200, body: found.map((each) => project(each, only)) }
    }
    case 'update': {
      const changed = await things.write(principal, style, (writing) => resource.change(writing, id, value))
      return { status: 200, body: project(changed, only) }
    }
    case 'delete':
      await things.write(principal, style, (writing) => resource.remove(writing, id))
      return { status: 200, body: {} }
  }
  throw unknownType(command, 'create, find, findmany, update, delete')
}

function unknownType({ object, type }: Command, known: string) {
  return badRequest(
    `Expected "type" to be one of ${known} for the object "${object}"; got "${type.slice(0, 60)}"`,
  )
}
