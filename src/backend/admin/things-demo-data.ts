/* Three weeks of readings of a greenhouse: each sensor sends one every half hour. */

export const demoWeeks = 3
const minuteMs = 60_000
const everyMs = 30 * minuteMs
const dayMs = 24 * 60 * minuteMs

export interface DemoReading {
  readonly at: number
  readonly sensor: string
  readonly celsius: number
  /** Relative humidity in percent. */
  readonly humidity: number
}

/** The highest temperature of each day at the bench, today's last. Some days are too hot. */
const highs = [24, 25, 27, 26, 28, 29, 31, 33, 32, 28, 26, 25, 27, 29, 30, 32, 34, 31, 28, 27, 29, 30]
const hottestHour = 15

/** Where the sensors are, and how much warmer it is there at the hottest hour. */
const sensors = [
  { name: 'bench', warmer: 0 },
  { name: 'door', warmer: -2 },
  { name: 'roof', warmer: 2.5 },
]

/** The readings of the three weeks before a time, oldest first. The same time gives the same readings. */
export function demoReadings(now: number): readonly DemoReading[] {
  // A minute apart, so that sensors do not send at the same time.
  const newest = Math.floor((now - sensors.length * minuteMs) / everyMs) * everyMs
  const today = Math.floor(now / dayMs)
  const count = (demoWeeks * 7 * dayMs) / everyMs
  return Array.from({ length: count }, (_, index) => newest - (count - 1 - index) * everyMs).flatMap((time) =>
    sensors.map(({ name, warmer }, index) => {
      const at = time + index * minuteMs
      const celsius = round(temperature(at, today, warmer))
      return { at, sensor: name, celsius, humidity: Math.round(Math.min(95, 118 - 2.2 * celsius)) }
    }),
  )
}

function temperature(at: number, today: number, warmer: number): number {
  const day = Math.floor(at / dayMs)
  const high = highs.at(day - today - 1) ?? 25
  const low = 14 + (day % 5) / 2
  const hour = (at % dayMs) / (60 * minuteMs)
  const warmth = (1 + Math.cos(((hour - hottestHour) / 12) * Math.PI)) / 2
  const noise = (((at / minuteMs) * 7) % 11) / 20 - 0.25
  return low + (high + warmer - low) * warmth + noise
}

function round(celsius: number): number {
  return Math.round(celsius * 10) / 10
}
