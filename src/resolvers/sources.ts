import type { Context } from '../context.ts'
import type { Flow, Source } from '../upstream/flowdock/model.ts'
import type { FlowBy } from './flows.ts'
import { encodeInFlow } from './global-id.ts'
import { checkFilled, resolveFlowPath, resolveInFlow } from './inputs.ts'
import { type Connection, listConnection, type PageArgs } from './pagination.ts'

export function id(source: Source): string {
  return encodeInFlow('Source', source.flowPath, source.id)
}

export async function sources(
  _: unknown,
  args: PageArgs,
  { flowdock }: Context,
): Promise<Connection<Source>> {
  return listConnection('source', await flowdock.load.sources(), ({ id }) => id, args)
}

export async function flowSources(
  flow: Flow,
  args: PageArgs,
  { flowdock }: Context,
): Promise<Connection<Source>> {
  return listConnection('source', await flowdock.load.flowSources(flow.path), ({ id }) => id, args)
}

export async function flow(source: Source, _: unknown, { flowdock }: Context): Promise<Flow | null> {
  return flowdock.load.flowByPath(source.flowPath)
}

export async function createSource(
  _: unknown,
  { input }: { input: { flow: FlowBy; name: string; externalUrl?: string | null | undefined } },
  context: Context,
): Promise<{ source: Source; flowToken: string }> {
  const name = checkFilled(input.name, 'name')
  const path = await resolveFlowPath(input.flow, context, ['input', 'flow'])
  return context.flowdock.sources.create(path, { name, externalUrl: input.externalUrl ?? undefined })
}

interface SourceChanges {
  readonly errorMessage?: string | null | undefined
  readonly configurationUrl?: string | null | undefined
}

export async function updateSource(
  _: unknown,
  { input }: { input: SourceChanges & { sourceId: string } },
  { flowdock }: Context,
): Promise<{ source: Source }> {
  const { flowPath, id } = resolveInFlow('Source', input.sourceId, ['input', 'sourceId'])
  return { source: await flowdock.sources.update(flowPath, id, changesOf(input)) }
}

export async function reportSourceProblem(
  _: unknown,
  { input }: { input: SourceChanges & { flowToken: string } },
  { flowdock }: Context,
): Promise<{ source: Source }> {
  const flowToken = checkFilled(input.flowToken, 'flowToken')
  return { source: await flowdock.sources.updateByToken(flowToken, changesOf(input)) }
}

export async function deleteSource(
  _: unknown,
  { input }: { input: { sourceId: string } },
  { flowdock }: Context,
): Promise<{ sourceId: string }> {
  const { flowPath, id } = resolveInFlow('Source', input.sourceId, ['input', 'sourceId'])
  await flowdock.sources.delete(flowPath, id)
  return { sourceId: input.sourceId }
}

function changesOf({ errorMessage, configurationUrl }: SourceChanges) {
  return { errorMessage: errorMessage ?? undefined, configurationUrl: configurationUrl ?? undefined }
}
