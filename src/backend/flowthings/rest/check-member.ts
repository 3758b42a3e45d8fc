import { badRequest } from '../things-error.ts'
import { methodNotAllowed } from './method-not-allowed.ts'

/** A member alone can only be replaced. @throws ThingsError 400 without a value, 405 for other methods */
export function checkMember(method: string, member: string | undefined, body: unknown): void {
  if (member === undefined) return
  if (method !== 'PUT') throw methodNotAllowed('PUT')
  if (body === undefined) throw badRequest('Expected the body to be the value of the member')
}
