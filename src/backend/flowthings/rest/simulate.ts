import { isRecord } from '../../../json-values.ts'
import type { Outcome } from '../envelope.ts'
import { createScriptReader } from '../operations/scripts.ts'
import type { Things } from '../things.ts'
import { badRequest, ThingsError } from '../things-error.ts'
import { readReturned, TrackError } from '../tracks/chain.ts'
import { type ScriptRunner, ScriptsBusyError } from '../tracks/script-runner.ts'
import { methodNotAllowed } from './method-not-allowed.ts'
import type { RestRequest } from './request.ts'

/**
 * Runs the function of a track with a drop, and writes nothing. [flowthings] ruby client: track simulate
 *
 * @throws ThingsError 400, 403, 503
 */
export async function simulateTrack(
  things: Things,
  runner: ScriptRunner,
  { method, body, principal, style }: RestRequest,
): Promise<Outcome> {
  if (method !== 'POST') throw methodNotAllowed('POST')
  const access = things.access(principal, style)
  access.requireMaster('To simulate a track')
  const { drop, js } = isRecord(body) ? body : {}
  if (!isRecord(drop) || typeof js !== 'string')
    throw badRequest('Expected "drop" to be a drop, and "js" the text of a function')
  const script = { owner: String(principal.account.id), key: undefined, text: js, drop }
  const outcome = await runner.run(script, createScriptReader(access)).catch((error: unknown) => {
    throw error instanceof ScriptsBusyError
      ? new ThingsError(503, error.message, { 'Retry-After': '2' })
      : error
  })
  const errors = outcome.error === undefined ? [] : [outcome.error.message]
  const drops = errors.length > 0 ? [] : madeDrops(outcome.returned ?? 'null', drop, errors)
  return { status: 200, body: { drops, log: outcome.log, errors } }
}

function madeDrops(json: string, source: Record<string, unknown>, errors: string[]): object[] {
  try {
    const made = readReturned(JSON.parse(json), source, { destinations: [''] })
    return made.map(({ path, drop: { parentDropId: _, ...members } }) =>
      path === '' ? members : { ...members, path },
    )
  } catch (error) {
    if (!(error instanceof TrackError)) throw error
    errors.push(error.message)
    return []
  }
}
