import { decodeFlowToken, decodeSource } from './decode.ts'
import { decodeList } from './lists.ts'
import type { Source } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Sources {
  /** The sources of all joined flows. */
  list(): Promise<Source[]>
  listOf(flowPath: string): Promise<Source[]>
  find(flowPath: string, id: number): Promise<Source | null>
  /** The source of a flow token; null when there is none. */
  findByToken(flowToken: string): Promise<Source | null>
  /** Only this response has the flow token. */
  create(
    flowPath: string,
    source: { name: string; externalUrl: string | undefined },
  ): Promise<{ source: Source; flowToken: string }>
  update(flowPath: string, id: number, changes: SourceChanges): Promise<Source>
  /** As `update`, with the flow token of the source. */
  updateByToken(flowToken: string, changes: SourceChanges): Promise<Source>
  delete(flowPath: string, id: number): Promise<void>
}

export interface SourceChanges {
  /** A blank text ends the problem. */
  readonly errorMessage?: string | undefined
  readonly configurationUrl?: string | undefined
}

/** [flowdock] sources.md */
export function createSources(calls: FlowdockCalls): Sources {
  return {
    async list() {
      const json = await calls.get(['sources'], { doing: 'list sources' })
      return decodeList(json, decodeSource, calls.onUnreadable)
    },
    async listOf(flowPath) {
      const path = ['flows', ...flowPath.split('/'), 'sources']
      const json = await calls.get(path, { doing: `list the sources of "${flowPath}"` })
      return decodeList(json, decodeSource, calls.onUnreadable)
    },
    async find(flowPath, id) {
      const path = ['flows', ...flowPath.split('/'), 'sources', String(id)]
      const json = await calls.find(path, { doing: `read source ${id}` })
      return json === null ? null : decodeSource(json)
    },
    async findByToken(flowToken) {
      const query = { flow_token: flowToken }
      const json = await calls.find(['sources'], { query, anonymous: true, doing: 'read a source' })
      // [flowdock] sources.md: a list of one, or the source itself.
      const source: unknown = Array.isArray(json) ? json[0] : json
      return source == null ? null : decodeSource(source)
    },
    async create(flowPath, { name, externalUrl }) {
      const json = await calls.post(['flows', ...flowPath.split('/'), 'sources'], {
        body: { name, external_url: externalUrl },
        doing: `add a source to "${flowPath}"`,
      })
      return { source: decodeSource(json), flowToken: decodeFlowToken(json) }
    },
    async update(flowPath, id, { errorMessage, configurationUrl }) {
      const json = await calls.put(['flows', ...flowPath.split('/'), 'sources', String(id)], {
        body: { error_message: errorMessage, configuration_url: configurationUrl },
        doing: `change source ${id}`,
      })
      return decodeSource(json)
    },
    async updateByToken(flowToken, { errorMessage, configurationUrl }) {
      const json = await calls.put(['sources'], {
        body: { flow_token: flowToken, error_message: errorMessage, configuration_url: configurationUrl },
        anonymous: true,
        doing: 'change a source by its flow token',
      })
      return decodeSource(json)
    },
    async delete(flowPath, id) {
      await calls.delete(['flows', ...flowPath.split('/'), 'sources', String(id)], {
        doing: `remove source ${id}`,
      })
    },
  }
}
