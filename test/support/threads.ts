import type { RunningBackend } from '../../src/backend/server.ts'
import { updateThread } from '../../src/backend/store/threads.ts'

/** Gives threads the times of their last update that a test needs, as an import could have written them. */
export async function setThreadTimes(
  { store }: RunningBackend,
  threads: readonly { readonly id: string; readonly time: number }[],
): Promise<void> {
  await store.write(async (db) => {
    for (const { id, time } of threads) await updateThread(db, id, { updated_at: time })
  })
}
