import { chmod, lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Only the owner can read them, whatever the umask: they contain messages, client secrets and flow tokens. */
export const privateFolderMode = 0o700
export const privateFileMode = 0o600

const othersMask = 0o077
const stickyBit = 0o1000

/** The paths whose rights were removed, and those where that failed. */
export interface ProtectedData {
  readonly changed: number
  readonly refused: readonly string[]
}

/**
 * Removes the rights of other users from a data folder that an earlier version, or a copy, made readable to them. The folder
 * `files` is changed last, so the files in it are only checked while other users can read that folder.
 */
export async function protectData(dataDir: string): Promise<ProtectedData> {
  // Windows has no such modes.
  if (process.getuid === undefined) return { changed: 0, refused: [] }
  const refused: string[] = []
  let changed = 0
  const protect = async (path: string, mode: number, wanted: number) => {
    if ((mode & othersMask) === 0) return
    try {
      await chmod(path, wanted)
      changed += 1
    } catch {
      refused.push(path)
    }
  }
  const protectFile = async (path: string) => {
    const found = await lstat(path).catch(() => undefined)
    if (found?.isFile()) await protect(path, found.mode, privateFileMode)
  }
  const protectTree = async (folder: string) => {
    const { mode } = await stat(folder)
    if ((mode & othersMask) === 0) return
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) await protectTree(path)
      else if (entry.isFile()) await protectFile(path)
    }
    await protect(folder, mode, privateFolderMode)
  }

  const databases = ['flowdock.db', 'flowdock.db-wal', 'flowdock.db-shm']
  for (const name of [...databases, 'demo-token', 'flowthings-token', 'metrics-token'])
    await protectFile(join(dataDir, name))
  await protectTree(join(dataDir, 'files')).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') refused.push(join(dataDir, 'files'))
  })
  const { mode } = await stat(dataDir)
  // A folder that all users share, such as /tmp, is left alone.
  if ((mode & stickyBit) === 0) await protect(dataDir, mode, privateFolderMode)
  else refused.push(dataDir)
  return { changed, refused }
}
