/** Most members and elements that a client's JSON may have: several times what any request needs. */
export const maxJsonValues = 10_000

/** Text of this length cannot have enough values to matter. */
const harmlessLength = 64 * 1024

/**
 * Whether a client's JSON has too many values to be parsed. Millions of small values take seconds of an event loop, where one
 * long text of the same length, such as a file in Base64, takes milliseconds.
 */
export function hasTooManyValues(json: string): boolean {
  if (json.length <= harmlessLength) return false
  let values = 0
  for (let at = 0; at < json.length; at += 1) {
    const character = json[at]
    if (character === '"') at = endOfString(json, at)
    else if (character === ',' || character === '[' || character === '{') values += 1
    if (values > maxJsonValues) return true
  }
  return false
}

/** Where a string ends that begins at a quote. */
function endOfString(json: string, begin: number): number {
  for (let end = json.indexOf('"', begin + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let backslashes = 0
    while (json[end - 1 - backslashes] === '\\') backslashes += 1
    if (backslashes % 2 === 0) return end
  }
  return json.length
}
