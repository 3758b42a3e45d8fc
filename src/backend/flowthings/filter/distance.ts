import { isRecord } from '../../../json-values.ts'
import type { Point, Unit } from './syntax-tree.ts'

/** The mean radius of the earth. [spec] IUGG */
const earthMeters = 6_371_008.8

export const metersOf: Readonly<Record<Unit, number>> = { KM: 1000, MILES: 1609.344, METERS: 1, FEET: 0.3048 }

/** The distance of two points on a sphere in meters, with the haversine formula. */
export function distanceMeters(from: Point, to: Point): number {
  const half = (degrees: number) => Math.sin(radians(degrees) / 2) ** 2
  const chord =
    half(to.lat - from.lat) +
    Math.cos(radians(from.lat)) * Math.cos(radians(to.lat)) * half(to.lon - from.lon)
  return 2 * earthMeters * Math.asin(Math.min(1, Math.sqrt(chord)))
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180
}

/** Converts a location to a point; `undefined` for other values. */
export function toPoint(value: unknown): Point | undefined {
  if (!isRecord(value)) return undefined
  const { lat, lon } = value
  return typeof lat === 'number' && typeof lon === 'number' ? { lat, lon } : undefined
}
