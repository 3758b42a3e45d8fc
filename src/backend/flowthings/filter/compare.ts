import type { Comparison, Scalar } from './syntax-tree.ts'

export type Test = (value: unknown) => boolean

/**
 * A function that compares a value with a constant. Only values of one kind are equal or ordered: a number is no text.
 * A missing value and a collection equal nothing.
 */
export function compareWith(comparison: Comparison, constant: Scalar): Test {
  if (comparison === '==') return (value) => value === constant
  if (comparison === '!=') return (value) => value !== constant
  if (typeof constant === 'number') return numberTests[comparison](constant)
  if (typeof constant === 'string') return textTests[comparison](constant)
  return () => false
}

/** The same for two values. */
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

/** The order of two texts by their code points, which is the order of their bytes in UTF-8, as databases have it. */
export function compareTexts(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let at = 0; at < length; at += 1) {
    const difference = rank(left.charCodeAt(at)) - rank(right.charCodeAt(at))
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

/** Surrogates stand for code points above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
