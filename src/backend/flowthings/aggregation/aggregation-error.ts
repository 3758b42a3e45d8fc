/** An invalid aggregation. The message says what was expected. */
export class AggregationError extends Error {
  override readonly name = 'AggregationError'
}
