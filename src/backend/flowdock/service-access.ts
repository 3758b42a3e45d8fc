import type { IncomingHttpHeaders } from 'node:http'
import { HttpError, unauthorized } from '../http/errors.ts'
import type { Database } from '../store/db.ts'
import { findUser } from '../store/users.ts'
import type { Identity } from './auth.ts'
import type { Backend, Route } from './route.ts'

/*
 * What a service token permits: the service interface, and GET requests of the REST API as a user. It changes nothing.
 */

/**
 * Checks who may use a route of the service interface, and what a service token is used for.
 *
 * @param isService whether the request has a service token
 * @throws HttpError 401 or 403
 */
export function checkServiceAccess(
  { auth, pattern }: Route,
  { method, headers }: { readonly method: string; readonly headers: IncomingHttpHeaders },
  isService: boolean,
): void {
  const actsAs = headers['flowdock-act-as'] !== undefined
  const isServiceRoute = pattern.startsWith('/service/')
  if (!isServiceRoute && !isService && !actsAs) return
  if (headers.origin !== undefined) throw forbidden('pages must not use the service interface')
  if (auth === 'service') {
    if (!isService) throw unauthorized()
    if (actsAs) throw forbidden('nobody is acted as here')
    return
  }
  if (!actsAs) {
    // A service token is nobody's credential.
    if (isService && auth === 'user') throw unauthorized()
    return
  }
  if (!isService) throw forbidden('Flowdock-Act-As needs a service token')
  if (method !== 'GET') throw forbidden('only GET may act as a user')
  // Streams and entitlements are for the credential of the user.
  if (auth !== 'user' || isServiceRoute || pattern.startsWith('/stream/'))
    throw forbidden('this may not be read as a user')
}

/**
 * The user that a request with a service token acts as; undefined without the header.
 *
 * @throws HttpError 400 or 403
 */
export async function findActedUser(
  db: Database,
  headers: IncomingHttpHeaders,
): Promise<Identity | undefined> {
  const header = headers['flowdock-act-as']
  if (header === undefined) return undefined
  if (!/^\d{1,15}$/.test(String(header)))
    throw new HttpError(400, { message: 'Flowdock-Act-As must be the number of a user' })
  const user = await findUser(db, Number(header))
  if (user?.disabled !== 0) throw forbidden(`there is no user ${header} who may sign in`)
  return {
    user,
    key: 'service',
    scopes: undefined,
    applicationId: undefined,
    expiresAt: undefined,
    isValid: async (reader) => (await findUser(reader, user.id))?.disabled === 0,
    signedInBy: { userId: user.id, passwordHash: user.password_hash },
    isActedAs: true,
  }
}

/** The backend for a request that must not change anything. */
export function withoutWriting(backend: Backend): Backend {
  const { log, store } = backend
  const refuse = () => Promise.reject(forbidden('a service token changes nothing'))
  return { ...backend, log: { ...log, write: refuse }, store: { ...store, write: refuse } }
}

function forbidden(reason: string): HttpError {
  return new HttpError(403, { message: `Access denied: ${reason}` })
}
