/*
 * JavaScript numbers are exact up to 2^53, and the type `long` of flowthings has 64 bits. [flowthings] java-client. Longer numbers
 * are objects that keep the digits of the JSON.
 */

// TypeScript does not know it yet. [spec] JSON.parse source text access
const { parse, rawJSON } = JSON as unknown as {
  parse(
    text: string,
    reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown
  rawJSON(text: string): object
}

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

/** Whether a JSON text may contain such numbers. */
export function mayHaveLongs(json: string): boolean {
  return /\d{16}/.test(json)
}

const most = 2n ** 63n

/** Parses JSON, with whole numbers of 64 bits as they are. @throws SyntaxError */
export function parseWithLongs(json: string): unknown {
  if (!mayHaveLongs(json)) return JSON.parse(json)
  return parse(json, (_, value, { source = '' }) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value) || !/^-?\d{16,19}$/.test(source))
      return value
    const exact = BigInt(source)
    return exact >= -most && exact < most ? new Long(source) : value
  })
}
