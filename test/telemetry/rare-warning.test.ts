import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createRareWarning } from '../../src/telemetry/rare-warning.ts'

test('a warning is logged at most once in a minute, with the number of times it stands for', () => {
  const lines: unknown[] = []
  let now = 0
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(JSON.parse(line)) })
  const warn = createRareWarning(log, 'Too many', () => now)
  warn({ limit: 'a' })
  warn({ limit: 'b' })
  now = 59_999
  warn({ limit: 'c' })
  now = 60_000
  warn({ limit: 'd' })
  expect(lines).toEqual([
    { level: 40, limit: 'a', count: 1, msg: 'Too many' },
    { level: 40, limit: 'd', count: 3, msg: 'Too many' },
  ])
})
