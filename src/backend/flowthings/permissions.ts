import { isRecord } from '../../json-values.ts'
import { covers, pathKey } from './paths.ts'
import { badRequest } from './things-error.ts'

/** The rights at a path. */
export interface Rights {
  /** Whether flows, tracks and devices may be read. */
  readonly read: boolean
  /** Whether they may be created and changed. */
  readonly write: boolean
  readonly dropRead: boolean
  readonly dropWrite: boolean
  /** Whether they may be deleted. */
  readonly administer: boolean
}

/** The permissions of a token or share at a path and below it. */
export interface PathPermissions extends Rights {
  readonly key: string
}

const names = ['read', 'write', 'dropRead', 'dropWrite', 'administer'] as const

export const noRights: Rights = {
  read: false,
  write: false,
  dropRead: false,
  dropWrite: false,
  administer: false,
}
export const allRights: Rights = {
  read: true,
  write: true,
  dropRead: true,
  dropWrite: true,
  administer: true,
}

/** Decodes the stored permissions of a token or share. */
export function readPermissions(
  paths: Readonly<Record<string, Readonly<Record<string, boolean>>>>,
): PathPermissions[] {
  return Object.entries(paths).map(([path, given]) => {
    const all = given['administer'] === true
    const has = (name: (typeof names)[number]) => all || given[name] === true
    // The permission to write drops includes reading flows, because a client has to find the flow.
    const read = names.some((name) => given[name] === true)
    return {
      ...{ key: pathKey(path), read, write: has('write'), dropRead: has('dropRead') },
      ...{ dropWrite: has('dropWrite'), administer: all },
    }
  })
}

/** The rights that permissions give at a path. */
export function rightsOf(permissions: readonly PathPermissions[], key: string): Rights {
  const there = permissions.filter((permission) => covers(permission.key, key))
  const has = (name: (typeof names)[number]) => there.some((permission) => permission[name])
  return {
    ...{ read: has('read'), write: has('write'), dropRead: has('dropRead') },
    ...{ dropWrite: has('dropWrite'), administer: has('administer') },
  }
}

const maxPaths = 100

/**
 * Parses the `paths` of a new token or share.
 *
 * @throws ThingsError 400 when it is not a map of paths to maps of permissions
 */
export function parsePermissions(
  input: unknown,
  checkPath: (path: string) => void,
): Record<string, Record<string, boolean>> {
  if (!isRecord(input) || Object.keys(input).length === 0)
    throw badRequest(
      'Expected "paths" to be a map of paths to permissions, such as {"/a/b": {"dropRead": true}}',
    )
  const entries = Object.entries(input)
  if (entries.length > maxPaths) throw badRequest(`Expected "paths" to have at most ${maxPaths} paths`)
  return Object.fromEntries(
    entries.map(([path, given]) => {
      checkPath(path)
      if (!isRecord(given)) throw badRequest(`Expected the permissions of "${path}" to be an object`)
      for (const [name, value] of Object.entries(given)) {
        if (!(names as readonly string[]).includes(name))
          throw badRequest(
            `Expected a permission of "${path}" to be one of ${names.join(', ')}; got "${name}"`,
          )
        if (typeof value !== 'boolean')
          throw badRequest(`Expected the permission "${name}" to be true or false`)
      }
      return [path, given as Record<string, boolean>]
    }),
  )
}
