import { createHash } from 'node:crypto'
import { isRecord } from '../../json-values.ts'
import { maxEntries } from '../bounds.ts'
import { isWebUrl, webUrlProblem } from './web-url.ts'

/** A button of a thread that sends something to its integration. [flowdock] thread-actions.md, "UpdateAction" */
export interface UpdateAction {
  readonly '@type': 'UpdateAction'
  readonly name: string
  readonly target: {
    readonly '@type': 'EntryPoint'
    readonly urlTemplate: string
    readonly httpMethod?: string
  }
}

/** [flowdock] message types, "Thread status" */
export const threadColors: readonly string[] = [
  'red',
  'green',
  'yellow',
  'cyan',
  'orange',
  'grey',
  'black',
  'lime',
  'purple',
  'blue',
]

const methods = ['POST', 'PUT', 'PATCH', 'DELETE']

/** What is wrong with the actions of a thread; undefined if they are valid. Unknown kinds are accepted. */
export function actionProblem(actions: unknown): string | undefined {
  if (!Array.isArray(actions)) return 'actions must be a list'
  if (actions.length > maxEntries.actions)
    return `actions has ${actions.length} entries, at most ${maxEntries.actions} are stored`
  for (const action of actions as unknown[]) {
    if (!isRecord(action)) return 'actions must be objects'
    const target = action['target']
    if (action['@type'] === 'ViewAction' && !isWebUrl(action['url']))
      return `the url of a ViewAction ${webUrlProblem}`
    // Clients may know kinds that this server does not know.
    for (const name of ['url', 'image'])
      if (action[name] !== undefined && action[name] !== null && !isWebUrl(action[name]))
        return `the ${name} of an action ${webUrlProblem}`
    if (action['@type'] !== 'UpdateAction') continue
    if (!isRecord(target) || !isWebUrl(target['urlTemplate']))
      return `the target of an UpdateAction needs a urlTemplate, which ${webUrlProblem}`
    const method = target['httpMethod']
    if (method !== undefined && !methods.includes(String(method)))
      return `the httpMethod of a target must be one of ${methods.join(', ')}`
  }
  return undefined
}

export function isUpdateAction(action: unknown): action is UpdateAction & Record<string, unknown> {
  return isRecord(action) && action['@type'] === 'UpdateAction'
}

/** Identifies one version of an action of a thread. */
export function actionDigest(threadId: string, action: UpdateAction): string {
  return createHash('sha256')
    .update(`${threadId} ${JSON.stringify(action)}`)
    .digest('base64url')
    .slice(0, 27)
}

/** Actions as clients see them: a click on an UpdateAction goes to this server, which signs the request. */
export function encodeActions(
  threadId: string,
  actionsJson: string,
  base: string,
): Record<string, unknown>[] {
  if (actionsJson === '[]') return []
  return (JSON.parse(actionsJson) as Record<string, unknown>[]).map((action) => {
    if (!isUpdateAction(action)) return action
    const urlTemplate = `${base}/threads/${threadId}/actions/${actionDigest(threadId, action)}`
    return { ...action, target: { ...action.target, urlTemplate, httpMethod: 'POST' } }
  })
}
