/**
 * Tells events of one number apart: when a failover loses commits, their numbers are given again. The time alone nearly does, and
 * an event that is sent again later has another time.
 */
export function fingerprintOf({
  created_at,
  payload,
}: {
  readonly created_at: number
  readonly payload: string
}): string {
  return `${created_at} ${Buffer.byteLength(payload)}`
}

/** The same of a row of `events`, in SQL. */
export const fingerprintColumn = "created_at || ' ' || octet_length(payload)"
