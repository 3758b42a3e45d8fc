import { existsSync } from 'node:fs'

/**
 * A file or folder of this package by its path in it, wherever this code was put: it runs from `src`, and bundled from
 * `dist`.
 */
export function packageFile(path: string): URL {
  let folder = new URL('./', import.meta.url)
  while (!existsSync(new URL('package.json', folder))) folder = new URL('../', folder)
  return new URL(path, folder)
}

/** Whether this code runs as it was written. */
export function runsFromSource(): boolean {
  return import.meta.url.endsWith('.ts')
}
