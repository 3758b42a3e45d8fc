import type { Context } from '../context.ts'
import { checkThingsId, kindOfTask, kindOfType, splitDropKey } from './things-ids.ts'

/** Whether objects of a type come from flowthings. */
export function isThingsType(typename: string): boolean {
  return typename === 'ThingsFlow' || typename === 'Drop' || kindOfType(typename) !== undefined
}

/** The object of flowthings that a global id names. @throws ValidationError for a malformed key */
export async function thingsNode(
  typename: string,
  key: string,
  { flowthings: { load } }: Context,
): Promise<object | null> {
  if (typename === 'ThingsFlow') return load.flow(checkThingsId('flow', key))
  if (typename === 'Drop') return load.drop(splitDropKey(key))
  const kind = typename === 'ThingsTask' ? kindOfTask(key) : kindOfType(typename)
  return kind === undefined ? null : load.object(kind, checkThingsId(kind, key))
}
