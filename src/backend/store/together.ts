/**
 * Waits for all of them. Unlike `Promise.all` it waits for the others, too, when one fails: a statement that is sent after the
 * transaction was rolled back would be stored.
 *
 * @throws what the first one that failed threw
 */
export async function together<T extends readonly unknown[]>(
  work: readonly [...{ [K in keyof T]: T[K] | Promise<T[K]> }],
): Promise<T> {
  const results = await Promise.allSettled(work)
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as unknown as T
}
