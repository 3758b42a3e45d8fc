import type { Context, LiveEvents } from '../context.ts'
import { NotFoundError, ValidationError } from '../errors.ts'
import type { DropEvent } from '../upstream/flowthings/drop-events.ts'
import type { ThingsFilter } from '../upstream/flowthings/filter-text.ts'
import type { ThingsFlow } from '../upstream/flowthings/model.ts'
import { findThingsFlow, type ThingsFlowBy } from './things-ids.ts'

const maxFlows = 150

/** The schema type of an event. */
export function eventType({ type }: DropEvent): string {
  return type === 'drop' ? 'DropAdded' : 'DropGap'
}

export async function subscribeDropAdded(
  _: unknown,
  {
    input,
  }: {
    input: {
      flows: readonly ThingsFlowBy[]
      filter?: ThingsFilter | null | undefined
      after?: string | null | undefined
    }
  },
  context: Context,
): Promise<LiveEvents> {
  const path = ['input', 'flows']
  if (input.flows.length === 0 || input.flows.length > maxFlows)
    throw new ValidationError(`Expected input.flows to name 1 to ${maxFlows} flows`, [], { inputPath: path })
  const flows = await Promise.all(
    input.flows.map((by, index) => requireFlow(by, context, [...path, String(index)])),
  )
  const filter = input.filter ?? undefined
  if (filter !== undefined) {
    const unstored = flows.find(({ capacity }) => capacity === 0)
    if (unstored !== undefined)
      throw new ValidationError(
        `The drops of "${unstored.path}" cannot be filtered: the flow has the capacity 0, and filters are evaluated on stored drops`,
        [],
        { inputPath: ['input', 'filter'] },
      )
    const [flow] = flows
    if (flow !== undefined) await context.flowthings.drops.checkFilter(flow.id, filter, ['input', 'filter'])
  }
  return context.listenToDrops({ flows, filter, after: context.lastEventId ?? input.after ?? undefined })
}

async function requireFlow(by: ThingsFlowBy, context: Context, path: readonly string[]): Promise<ThingsFlow> {
  const flow = await findThingsFlow(by, context, path)
  if (flow !== null) return flow
  throw new NotFoundError(`${path.join('.')} names a flow that does not exist or that you cannot see`, {
    inputPath: path,
  })
}

export async function gapFlow(
  { flowId }: Extract<DropEvent, { type: 'dropGap' }>,
  _: unknown,
  { flowthings }: Context,
): Promise<ThingsFlow | null> {
  return flowthings.load.flow(flowId)
}
