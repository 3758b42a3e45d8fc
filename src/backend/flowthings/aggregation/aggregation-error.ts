/** An aggregation that is refused. The message says what was expected. */
export class AggregationError extends Error {
  override readonly name = 'AggregationError'
}
