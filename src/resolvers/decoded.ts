import { UpstreamError } from '../errors.ts'
import type { Decoded } from '../upstream/flowdock/model.ts'

/** A part of a response. @throws UpstreamError why it could not be decoded, which makes the field null beside the others */
export function decoded<T>(part: Decoded<T>): T {
  if (part instanceof UpstreamError) throw part
  return part as T
}
