import type { Context } from '../context.ts'
import type { ThingsFilter } from '../upstream/flowthings/filter-text.ts'
import type { Authorship, ThingsFlow, ThingsObject } from '../upstream/flowthings/model.ts'
import type { Connection, PageArgs } from './pagination.ts'
import { findThingsFlow, flowGlobalId, type ThingsFlowBy } from './things-ids.ts'
import { datedConnection, type ThingsOrder } from './things-pages.ts'

export interface ThingsListArgs extends PageArgs {
  readonly filter?: ThingsFilter | null | undefined
  readonly order: ThingsOrder
}

export function id(flow: ThingsFlow): string {
  return flowGlobalId(flow.id)
}

export async function flow(
  _: unknown,
  { by }: { by: ThingsFlowBy },
  context: Context,
): Promise<ThingsFlow | null> {
  return findThingsFlow(by, context, ['by'])
}

export async function flows(
  _: unknown,
  { filter, order, ...page }: ThingsListArgs,
  { flowthings }: Context,
): Promise<Connection<ThingsFlow>> {
  const list = await datedConnection<ThingsFlow>(
    {
      name: 'flow',
      filter,
      order,
      placeOf: ({ id, created }) => ({ at: created.at, id }),
      read: (find) => flowthings.load.flows(find),
    },
    page,
  )
  return list as Connection<ThingsFlow>
}

interface Authored {
  readonly created: Authorship
}

export async function creator(
  { created }: Authored,
  _: unknown,
  context: Context,
): Promise<ThingsObject | null> {
  return loadIdentity(created.byId, context)
}

export async function editor(
  { created }: Authored,
  _: unknown,
  context: Context,
): Promise<ThingsObject | null> {
  return loadIdentity(created.editedById, context)
}

export async function loadIdentity(id: string | null, { flowthings }: Context): Promise<ThingsObject | null> {
  return id === null ? null : flowthings.load.object('identity', id)
}
