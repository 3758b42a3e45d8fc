import { FileMissingError, type FileStorage } from './file-storage.ts'

/** Also reads and removes files of a storage that was used before. New ones go to `storage` alone. */
export function withEarlierFiles(storage: FileStorage, earlier: FileStorage): FileStorage {
  return {
    keep: storage.keep,
    async open(token, range) {
      try {
        return await storage.open(token, range)
      } catch (error) {
        if (!(error instanceof FileMissingError)) throw error
        return earlier.open(token, range)
      }
    },
    async remove(token) {
      await storage.remove(token)
      await earlier.remove(token)
    },
    sizeOf: async (token) => (await storage.sizeOf(token)) ?? earlier.sizeOf(token),
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
