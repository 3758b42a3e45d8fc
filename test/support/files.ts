import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Files of all processes that arrived and were not kept, as paths below `files/incoming`. */
export async function arrivingFiles(dataDir: string): Promise<string[]> {
  const entries = await readdir(join(dataDir, 'files/incoming'), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}
