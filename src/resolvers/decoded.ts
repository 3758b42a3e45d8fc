import { UpstreamError } from '../errors.ts'
import type { Decoded } from '../upstream/flowdock/model.ts'

/** A decoded part of a response. @throws UpstreamError when it could not be decoded: then its field is null */
export function decoded<T>(part: Decoded<T>): T {
  if (part instanceof UpstreamError) throw part
  return part as T
}
