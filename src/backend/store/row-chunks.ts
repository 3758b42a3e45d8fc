/** The most rows of one statement, which has a limit of parameters. A power of two. */
const maxRows = 64

/** Divides rows into chunks whose lengths are powers of two, so that there are few texts of a statement with many rows. */
export function* inChunks<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let from = 0, left = rows.length; left > 0; ) {
    const count = Math.min(maxRows, 2 ** Math.floor(Math.log2(left)))
    yield rows.slice(from, from + count)
    from += count
    left -= count
  }
}
