/*
 * REST calls over a message port between two threads of one process, in place of HTTP over loopback. Bodies are copied as they are:
 * text is not encoded, and bytes are not decoded.
 */

/**
 * A call. The number is chosen by the caller, and is different for each call in progress. `headers` is made by `encodeHeaders`;
 * `body` is undefined for a request without one.
 */
export type PortRequest = readonly [
  id: number,
  method: string,
  target: string,
  headers: string,
  body: string | undefined,
]

/** The number of a call whose response is not awaited any more. */
export type PortAbort = number

/** The response. Without a status nothing was changed, and the call is to be made over HTTP. */
export type PortAnswer =
  | readonly [id: number, status: number, headers: string, body: string | Uint8Array | undefined]
  | readonly [id: number]

// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters
const unsafe = /[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/

/**
 * Encodes headers as lines, with names in lower case.
 *
 * @throws TypeError for a value that HTTP could not carry, such as one with a line break
 */
export function encodeHeaders(headers: Readonly<Record<string, string>>): string {
  let text = ''
  for (const name in headers) {
    const value = headers[name] as string
    if (unsafe.test(value)) throw new TypeError(`The value of the header "${name}" is not valid`)
    text += `${name.toLowerCase()}:${value}\n`
  }
  return text
}

/** The headers by their names in lower case. */
export function decodeHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {}
  for (let start = 0; start < text.length; ) {
    const colon = text.indexOf(':', start)
    const end = text.indexOf('\n', colon)
    headers[text.slice(start, colon)] = text.slice(colon + 1, end)
    start = end + 1
  }
  return headers
}
