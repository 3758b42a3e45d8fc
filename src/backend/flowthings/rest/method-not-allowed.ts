import { ThingsError } from '../things-error.ts'

/** @param allowed the methods that the URL supports */
export function methodNotAllowed(allowed: string): ThingsError {
  return new ThingsError(405, `Expected the method to be one of ${allowed}`, { Allow: `${allowed}, OPTIONS` })
}
