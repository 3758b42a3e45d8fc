import type { Context } from '../context.ts'
import type { Drop, DropElement, ElementValue, ThingsFlow } from '../upstream/flowthings/model.ts'
import type { Connection } from './pagination.ts'
import type { ThingsListArgs } from './things-flows.ts'
import { dropGlobalId } from './things-ids.ts'
import { datedConnection } from './things-pages.ts'

export function id({ flowId, id }: Drop): string {
  return dropGlobalId({ flowId, dropId: id })
}

export async function flow(drop: Drop, _: unknown, { flowthings }: Context): Promise<ThingsFlow | null> {
  return flowthings.load.flow(drop.flowId)
}

export async function parent({ parent }: Drop, _: unknown, { flowthings }: Context): Promise<Drop | null> {
  return parent === null ? null : flowthings.load.drop(parent)
}

export async function flowDrops(
  flow: ThingsFlow,
  { filter, order, ...page }: ThingsListArgs,
  { flowthings }: Context,
): Promise<Connection<Drop> | null> {
  return datedConnection<Drop>(
    {
      name: 'drop',
      filter,
      order,
      placeOf: ({ id, createdAt }) => ({ at: createdAt, id }),
      read: (find) => flowthings.load.drops(flow.id, find),
    },
    page,
  )
}

export async function latestDrop(
  flow: ThingsFlow,
  { filter }: Pick<ThingsListArgs, 'filter'>,
  { flowthings }: Context,
): Promise<Drop | null> {
  const find = { filters: filter == null ? [] : [filter], order: 'desc', limit: 1 } as const
  const [latest] = (await flowthings.load.drops(flow.id, find)) ?? []
  return latest ?? null
}

/** All elements, or those with the given names in the order of the names. */
export function elements(
  { elements }: Drop,
  { names }: { names?: readonly string[] | null | undefined },
): readonly DropElement[] {
  if (names == null) return elements
  return names.flatMap((name) => elements.find((element) => element.name === name) ?? [])
}

/** The value at a dotted path, such as `engine.temperature`. */
export function element({ elements }: Drop, { path }: { path: string }): ElementValue | null {
  const [name, ...rest] = path.split('.')
  let value = elements.find((each) => each.name === name)?.value
  for (const inner of rest)
    value = value?.kind === 'map' ? value.entries.find((each) => each.name === inner)?.value : undefined
  return value ?? null
}

/** The schema type of a value. */
export function elementType({ kind }: ElementValue): string {
  return elementTypes[kind]
}

const elementTypes: Readonly<Record<ElementValue['kind'], string>> = {
  text: 'TextElement',
  number: 'NumberElement',
  boolean: 'BooleanElement',
  time: 'TimeElement',
  location: 'LocationElement',
  quantity: 'QuantityElement',
  drop: 'DropReferenceElement',
  list: 'ListElement',
  map: 'MapElement',
  other: 'OtherElement',
}

export async function referencedDrop(
  { key }: Extract<ElementValue, { kind: 'drop' }>,
  _: unknown,
  { flowthings }: Context,
): Promise<Drop | null> {
  return flowthings.load.drop(key)
}
