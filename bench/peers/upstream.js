/* How the peers read their upstream: as each would with undici. */
import { Agent } from 'undici'

/** @returns a reader of one upstream, whose answers are bodies that are not read yet */
export function openUpstream(origin) {
  const agent = new Agent({ connections: 128 })
  return async (path, authorization) => {
    const { statusCode, body } = await agent.request({
      origin,
      path,
      method: 'GET',
      headers: { authorization },
    })
    if (statusCode !== 200) throw new Error(`The upstream answered ${statusCode}`)
    return body
  }
}
