import { FileMissingError, type FileStorage } from './file-storage.ts'

/** Adds read and remove access to the files of a previous storage. New files are stored in `storage`. */
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
