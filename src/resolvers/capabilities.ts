import type { Context } from '../context.ts'
import type { Capability } from '../upstream/flowdock/model.ts'

export async function capabilities(_: unknown, __: unknown, { flowdock }: Context): Promise<Capability[]> {
  return [...(await flowdock.capabilities())]
}
