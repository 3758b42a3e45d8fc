import { onTestFinished } from 'vitest'
import type { WireServiceFrames } from '../../src/wire/service.ts'
import { serviceToken } from './service-token.ts'
import { openRawStream, type RawStream } from './stream.ts'

export { serviceToken }

export interface ServiceFrame<Name extends keyof WireServiceFrames = keyof WireServiceFrames> {
  readonly name: Name
  readonly id: number | undefined
  readonly data: WireServiceFrames[Name]
}

/** The complete frames of a service stream. */
export function serviceFrames(text: string): ServiceFrame[] {
  return [...text.matchAll(/(?:id: (\d+)\n)?event: (\w)\ndata: (.*)\n\n/g)].map(([, id, name, data]) => ({
    name: name as keyof WireServiceFrames,
    id: id === undefined ? undefined : Number(id),
    data: JSON.parse(data as string),
  }))
}

/** Those of one name. */
export function framesOf<Name extends keyof WireServiceFrames>(
  text: string,
  name: Name,
): ServiceFrame<Name>[] {
  return serviceFrames(text).filter((frame): frame is ServiceFrame<Name> => frame.name === name)
}

/** Opens the service stream of a backend; it ends with the test. */
export async function openServiceStream(
  url: string,
  options: { query?: string; headers?: Record<string, string> } = {},
): Promise<RawStream> {
  const stream = await openRawStream(`${url}/service/v1/stream${options.query ?? ''}`, {
    authorization: `Bearer ${serviceToken}`,
    ...options.headers,
  })
  onTestFinished(stream.close)
  return stream
}
