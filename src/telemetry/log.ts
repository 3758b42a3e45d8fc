import { destination, type Logger, pino } from 'pino'

export type { Logger }

/** Writes JSON lines to standard error. Standard output is for texts. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null }, destination(2))
}
