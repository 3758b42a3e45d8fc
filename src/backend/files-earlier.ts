import { FileMissingError, type FileStorage } from './file-storage.ts'

/**
 * Adds read and remove access to the files of a previous storage. New files are stored in `storage`. Files may be moved to it at
 * any time: a move stores a file there before it removes the earlier one, so a file that is in neither is searched there again.
 */
export function withEarlierFiles(storage: FileStorage, earlier: FileStorage): FileStorage {
  return {
    keep: storage.keep,
    async open(token, range) {
      const open = (each: FileStorage) =>
        each.open(token, range).catch((error: unknown) => {
          if (error instanceof FileMissingError) return undefined
          throw error
        })
      return (await open(storage)) ?? (await open(earlier)) ?? storage.open(token, range)
    },
    async remove(token) {
      await storage.remove(token)
      await earlier.remove(token)
    },
    sizeOf: async (token) =>
      (await storage.sizeOf(token)) ?? (await earlier.sizeOf(token)) ?? storage.sizeOf(token),
    async *list() {
      yield* storage.list()
      yield* earlier.list()
    },
    async removeUnfinished(before) {
      await storage.removeUnfinished(before)
      await earlier.removeUnfinished(before)
    },
    close() {
      storage.close()
      earlier.close()
    },
  }
}
