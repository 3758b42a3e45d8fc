import { existsSync } from 'node:fs'

/** The path of a file or folder of this package. The code runs from `src`, or bundled from `dist`. */
export function packageFile(path: string): URL {
  let folder = new URL('./', import.meta.url)
  while (!existsSync(new URL('package.json', folder))) folder = new URL('../', folder)
  return new URL(path, folder)
}

/** Whether the code runs from `src`, and not from a bundle. */
export function runsFromSource(): boolean {
  return import.meta.url.endsWith('.ts')
}
