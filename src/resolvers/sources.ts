import type { Context } from '../context.ts'
import type { Flow, Source } from '../upstream/flowdock/model.ts'
import { encodeInFlow } from './global-id.ts'

export function id(source: Source): string {
  return encodeInFlow('Source', source.flowPath, source.id)
}

export async function sources(_: unknown, __: unknown, { flowdock }: Context): Promise<Source[]> {
  return flowdock.load.sources()
}

export async function flowSources(flow: Flow, _: unknown, { flowdock }: Context): Promise<readonly Source[]> {
  return flowdock.load.flowSources(flow.path)
}

export async function flow(source: Source, _: unknown, { flowdock }: Context): Promise<Flow | null> {
  return flowdock.load.flowByPath(source.flowPath)
}
