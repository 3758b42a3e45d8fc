import { inexactMessage, mayHaveLongNumbers, parseNumbers } from '../../json-values.ts'

/*
 * JavaScript numbers are exact up to 2^53, and the type `long` of flowthings has 64 bits. [flowthings] java-client. Longer numbers
 * are objects that keep the digits of the JSON.
 */

// TypeScript does not know it yet. [spec] JSON.rawJSON
const { rawJSON } = JSON as unknown as { rawJSON(text: string): object }

/** A whole number of 64 bits that a JavaScript number cannot represent. `JSON.stringify` writes its digits. */
export class Long {
  readonly #digits: string

  constructor(digits: string) {
    this.#digits = digits
  }

  toJSON(): object {
    return rawJSON(this.#digits)
  }
}

const most = 2n ** 63n

/** Whether a whole number has 64 bits. */
export function hasLongRange(value: bigint): boolean {
  return value >= -most && value < most
}

/** A whole number of 64 bits by its digits, as a number where that is exact; undefined for another text. */
export function parseLong(digits: string): number | Long | undefined {
  if (!/^-?\d{1,19}$/.test(digits)) return undefined
  const exact = BigInt(digits)
  if (!hasLongRange(exact)) return undefined
  const value = Number(exact)
  return Number.isSafeInteger(value) ? value : new Long(String(exact))
}

/** Parses JSON, with whole numbers of 64 bits as they are. @throws SyntaxError @throws RangeError for a number that a double cannot hold */
export function parseWithLongs(json: string): unknown {
  if (!mayHaveLongNumbers(json)) return JSON.parse(json)
  return parseNumbers(json, (value, source) => {
    if (!Number.isFinite(value)) throw new RangeError(inexactMessage(source))
    return Number.isSafeInteger(value) ? value : (parseLong(source) ?? value)
  })
}
