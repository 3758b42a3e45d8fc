import { destination, type Logger, pino } from 'pino'

export type { Logger }

/** Writes JSON lines to standard error, so that standard output stays for people. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null }, destination(2))
}
