import { type IncomingHttpHeaders, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isPublic, lookupPublicAddress, NotPublicAddressError } from '../net/public-address.ts'

/** A request of ours to an address that somebody else chose. */
export interface Delivery {
  readonly method: string
  readonly url: URL
  readonly headers: Record<string, string>
  readonly body: string
}

/** Why nothing was delivered, in words. */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
}

const deadlineMs = 10_000

/** A name that resolves to our own network is not told from one that does not exist: callers could list what is there. */
function isUnknown(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException
  return error instanceof NotPublicAddressError || /^(ENOTFOUND|EAI_\w+|ENODATA)$/.test(code)
}

/**
 * Sends it, follows no redirect, and reads no more of the answer than its head.
 *
 * @param anywhere also to this machine and its network
 * @throws DeliveryError when the address may not be reached, or cannot
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
