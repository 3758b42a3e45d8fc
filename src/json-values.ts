/** The most members and elements in the JSON of an operation: several times what any operation needs. */
export const maxJsonValues = 10_000

/** The same for a body of the REST API: a large push of GitHub names tens of thousands of files. */
export const maxRestValues = 100_000

/** A shorter text cannot have enough values to matter. */
const harmlessLength = 64 * 1024

/**
 * Whether a client's JSON has more values than `most`. Millions of small values take seconds of an event loop, where one
 * long text of the same length, such as a file in Base64, takes milliseconds.
 */
export function hasTooManyValues(json: string, most = maxJsonValues): boolean {
  if (json.length <= harmlessLength) return false
  let values = 0
  for (let at = 0; at < json.length; at += 1) {
    const character = json[at]
    if (character === '"') at = endOfString(json, at)
    else if (character === ',' || character === '[' || character === '{') values += 1
    if (values > most) return true
  }
  return false
}

/** The end of a string, from the position of its opening quote. */
function endOfString(json: string, begin: number): number {
  for (let end = json.indexOf('"', begin + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let backslashes = 0
    while (json[end - 1 - backslashes] === '\\') backslashes += 1
    if (backslashes % 2 === 0) return end
  }
  return json.length
}

/**
 * What is wrong with a text that is not JSON, and where. It has at most one character of the text, which may be secret.
 *
 * @param error what `JSON.parse` threw
 */
export function describeInvalidJson(text: string, error: unknown): string {
  if (text.trim() === '') return 'it is empty'
  const message = error instanceof SyntaxError ? error.message : ''
  if (message.startsWith('Unexpected end')) return 'it ends too early'
  const [, problem, line, column] =
    /^(.+?) in JSON at position \d+ \(line (\d+) column (\d+)\)$/.exec(message) ?? []
  if (problem !== undefined) return `${problem} in line ${line}, column ${column}`
  return /^Unexpected token '.'/u.exec(message)?.[0] ?? 'it cannot be parsed'
}

/** Whether a value is a JSON object: neither null nor a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// TypeScript does not know it yet. [spec] JSON.parse source text access
const { parse } = JSON as unknown as {
  parse(
    text: string,
    reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown
}

/** Parses JSON. @param revive changes a number, given its text @throws SyntaxError */
export function parseNumbers(json: string, revive: (value: number, source: string) => unknown): unknown {
  return parse(json, (_, value, { source = '' }) =>
    typeof value === 'number' ? revive(value, source) : value,
  )
}

/** Whether a JSON text may have numbers with more digits than a double keeps, or larger ones. */
export function mayHaveLongNumbers(json: string): boolean {
  return /\d{16}|\d[eE]\+?\d{3}/.test(json)
}

/** Whether a number keeps its value as a double. A fraction does if the double is finite, because it is always rounded. */
export function isExact(source: string): boolean {
  if (source.length < 16 || !/^-?\d+$/.test(source)) return Number.isFinite(Number(source))
  const value = Number(source)
  if (Number.isSafeInteger(value) || String(value) === source) return true
  return Number.isFinite(value) && BigInt(source) === BigInt(value)
}

/** Why a number is refused that is not exact. */
export function inexactMessage(digits: string): string {
  if (!Number.isFinite(Number(digits)))
    return `Expected a number between -${Number.MAX_VALUE} and ${Number.MAX_VALUE}, got ${digits.slice(0, 40)}`
  return (
    `Expected a whole number of at most 9007199254740991, got ${digits.slice(0, 40)}, which would lose digits; ` +
    'send it as text, or an element of flowthings as {type: "long", value: "…"}'
  )
}
