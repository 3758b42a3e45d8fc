import { type IncomingHttpHeaders, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isPublic, lookupPublicAddress, NotPublicAddressError } from '../net/public-address.ts'

/** A request to a URL that a client chose. */
export interface Delivery {
  readonly method: string
  readonly url: URL
  readonly headers: Record<string, string>
  readonly body: string
}

/** A request that was not delivered; the message says why. */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
}

const deadlineMs = 10_000

/**
 * The same error for a name in our own network and for an unknown name: otherwise clients could list the names in our network.
 */
function isUnknown(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException
  return error instanceof NotPublicAddressError || /^(ENOTFOUND|EAI_\w+|ENODATA)$/.test(code)
}

/**
 * Sends a request. It follows no redirect and reads only the head of the response.
 *
 * @param anywhere whether this machine and its network are allowed
 * @throws DeliveryError when the URL is not allowed, or cannot be reached
 */
export function deliver(
  delivery: Delivery,
  anywhere: boolean,
): Promise<{ status: number; headers: IncomingHttpHeaders }> {
  const { url, method, body } = delivery
  const send = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) =>
      reject(
        new DeliveryError(
          !anywhere && isUnknown(error)
            ? `${url.hostname} is not a public address`
            : `${url.hostname}: ${(error as Error).message}`,
        ),
      )
    if (!anywhere && !isPublic(url)) return fail(new NotPublicAddressError(url.hostname))
    const headers = { ...delivery.headers, 'Content-Length': String(Buffer.byteLength(body)) }
    const outgoing = send(
      url,
      {
        method,
        headers,
        agent: false,
        signal: AbortSignal.timeout(deadlineMs),
        ...(anywhere ? {} : { lookup: lookupPublicAddress }),
      },
      (response) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers })
        response.destroy()
      },
    )
    outgoing.on('error', fail)
    outgoing.end(body)
  })
}
