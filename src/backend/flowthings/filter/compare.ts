import type { Comparison, Scalar } from './syntax-tree.ts'

export type Test = (value: unknown) => boolean

/**
 * Returns a function that compares a value with a constant. Values of different types are never equal, and have no order. Lists,
 * maps and missing values are not equal to anything.
 */
export function compareWith(comparison: Comparison, constant: Scalar): Test {
  if (comparison === '==') return (value) => value === constant
  if (comparison === '!=') return (value) => value !== constant
  if (typeof constant === 'number') return numberTests[comparison](constant)
  if (typeof constant === 'string') return textTests[comparison](constant)
  return () => false
}

/** Compares two values in the same way. */
export function compareValues(comparison: Comparison, left: unknown, right: unknown): boolean {
  if (!isScalar(left) || !isScalar(right)) return comparison === '!='
  return compareWith(comparison, right)(left)
}

export function isScalar(value: unknown): value is Scalar {
  return value !== undefined && (typeof value !== 'object' || value === null)
}

type Order = Exclude<Comparison, '==' | '!='>

const numberTests: Readonly<Record<Order, (constant: number) => Test>> = {
  '<': (constant) => (value) => typeof value === 'number' && value < constant,
  '<=': (constant) => (value) => typeof value === 'number' && value <= constant,
  '>': (constant) => (value) => typeof value === 'number' && value > constant,
  '>=': (constant) => (value) => typeof value === 'number' && value >= constant,
}

const textTests: Readonly<Record<Order, (constant: string) => Test>> = {
  '<': (constant) => (value) => typeof value === 'string' && compareTexts(value, constant) < 0,
  '<=': (constant) => (value) => typeof value === 'string' && compareTexts(value, constant) <= 0,
  '>': (constant) => (value) => typeof value === 'string' && compareTexts(value, constant) > 0,
  '>=': (constant) => (value) => typeof value === 'string' && compareTexts(value, constant) >= 0,
}

/** Compares two texts by their code points. Databases use the same order, because it is that of UTF-8 bytes. */
export function compareTexts(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let at = 0; at < length; at += 1) {
    const difference = rank(left.charCodeAt(at)) - rank(right.charCodeAt(at))
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

/** Orders surrogates after all other code units, because they encode the greatest code points. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
