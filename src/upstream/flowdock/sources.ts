import { decodeList, decodeSource } from './decode.ts'
import type { Source } from './model.ts'
import type { FlowdockCalls } from './request.ts'

export interface Sources {
  /** Those of every flow the caller has joined. */
  list(): Promise<Source[]>
  listOf(flowPath: string): Promise<Source[]>
  find(flowPath: string, id: number): Promise<Source | null>
}

/** [flowdock] sources.md */
export function createSources(calls: FlowdockCalls): Sources {
  return {
    list: async () => decodeList(await calls.get(['sources'], { doing: 'list sources' }), decodeSource),
    async listOf(flowPath) {
      const path = ['flows', ...flowPath.split('/'), 'sources']
      return decodeList(await calls.get(path, { doing: `list the sources of "${flowPath}"` }), decodeSource)
    },
    async find(flowPath, id) {
      const path = ['flows', ...flowPath.split('/'), 'sources', String(id)]
      const json = await calls.find(path, { doing: `read source ${id}` })
      return json === null ? null : decodeSource(json)
    },
  }
}
