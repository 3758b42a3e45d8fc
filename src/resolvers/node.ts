import type { Context } from '../context.ts'
import { ValidationError } from '../errors.ts'
import { decodeGlobalId, type GlobalId, splitInFlow, splitMessageKey } from './global-id.ts'
import { isThingsType, thingsNode } from './things-node.ts'

/** The object that a global id names, with its type. Null when it does not exist or the viewer cannot see it. */
export async function node({ typename, id }: GlobalId, context: Context): Promise<object | null> {
  if (isThingsType(typename)) {
    const thing = await thingsNode(typename, id, context)
    return thing && { ...thing, __typename: typename }
  }
  const found = await read(typename, id, context.flowdock.load)
  if (found === null) return null
  return { ...found, __typename: 'kind' in found ? found.kind : typename }
}

/**
 * One result for each id: the object, null, or the error of this id. Errors are values, because graphql-jit leaves an item
 * out whose promise is rejected while an earlier one is pending.
 */
export async function nodes(ids: readonly string[], context: Context): Promise<(object | null | Error)[]> {
  if (ids.length > 100) throw new ValidationError(`Expected at most 100 ids, got ${ids.length}`)
  const read = await Promise.allSettled(ids.map(async (id) => node(decodeGlobalId(id), context)))
  return read.map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as Error)))
}

function read(typename: string, key: string, load: Context['flowdock']['load']) {
  switch (typename) {
    case 'User':
      return load.user(databaseId(key))
    case 'Organization':
      return load.organization(databaseId(key))
    case 'Flow':
      return load.flow(key)
    case 'Thread': {
      const { flowId, id } = splitInFlow(key)
      return load.thread(flowId, id)
    }
    case 'Message': {
      const { channel, id } = splitMessageKey(key)
      return load.message(channel, id)
    }
    case 'PrivateConversation':
      return load.conversation(databaseId(key))
    case 'Invitation': {
      const { flowId, id } = splitInFlow(key)
      return load.invitation(flowId, databaseId(id))
    }
    case 'Source': {
      const { flowId, id } = splitInFlow(key)
      return load.source(flowId, databaseId(id))
    }
    case 'DropRule':
    case 'TagRule': {
      const { flowId, id } = splitInFlow(key)
      return readRule(typename, flowId, databaseId(id), load)
    }
    default:
      throw new ValidationError(`Expected the id of an object of this API, got that of a "${typename}"`)
  }
}

async function readRule(
  typename: string,
  flowPath: string,
  id: number,
  load: Context['flowdock']['load'],
): Promise<object | null> {
  const rule = await load.rule(flowPath, id)
  return rule?.kind === typename ? rule : null
}

function databaseId(key: string): number {
  if (!/^\d{1,15}$/.test(key)) throw new ValidationError('Expected a global id of this API')
  return Number(key)
}
