/** A body in one piece: bytes of a connection, or text of a message port. */
export type WholeContent = Buffer | string

/**
 * The parts of a body: the elements of a list, or the members of an object. They are in the order of the body, and each one ends
 * before its comma, or before the end of the list or object.
 */
export interface Parts {
  readonly content: WholeContent
  readonly json: readonly unknown[] | Readonly<Record<string, unknown>>
  /** The names of the members of an object; undefined for a list. */
  readonly names: readonly string[] | undefined
  readonly starts: readonly number[]
  readonly ends: readonly number[]
}

/** A body that was put together from the parts of another one, and from parts of its own. */
export interface Assembled extends Parts {
  /** The length of what was parsed for it. */
  readonly parsedLength: number
}

const [quote, comma, backslash] = [0x22, 0x2c, 0x5c]
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

/** The fewest known parts for each part that is parsed, except for the first few. With fewer, the whole body is parsed. */
const knownForEach = 4
const freeParts = 3
/** The least average length of parts, except for the first few: to remember shorter ones takes several times the memory of the body. */
const leastLength = 32
const shortParts = 64
/** How many removed parts are looked past for one that is known. */
const maxRemoved = 3

/** Finds the parts of a body. Undefined for other JSON than lists and objects, very short parts, or members of the same name. */
export function divide(content: WholeContent, json: unknown): Parts | undefined {
  if (typeof json !== 'object' || json === null) return undefined
  const close = closingOf(content)
  if (close === undefined) return undefined
  const starts: number[] = []
  const ends: number[] = []
  for (let at = 1; ; ) {
    const end = endOfPart(content, at, close)
    if (end === -1 || starts.length > shortParts + end / leastLength) return undefined
    starts.push(at)
    ends.push(end)
    at = end + 1
    if (codeAt(content, end) === close) break
  }
  if (Array.isArray(json))
    return json.length === starts.length ? { content, json, names: undefined, starts, ends } : undefined
  const members = json as Readonly<Record<string, unknown>>
  const names: string[] = []
  for (const [index, start] of starts.entries()) {
    const [name] = Object.keys(parseMember(content, start, ends[index] as number))
    if (name === undefined || name === '__proto__') return undefined
    names.push(name)
  }
  // A member that is repeated replaces the one before it.
  return new Set(names).size === names.length ? { content, json: members, names, starts, ends } : undefined
}

/**
 * Puts a body together from known parts where its bytes are the same, and parses the others. Parts may have been changed, added
 * and removed. Undefined for a body that has few of the known parts, and for one that is not JSON.
 */
export function assemble(known: Parts, content: WholeContent): Assembled | undefined {
  const close = closingOf(content)
  if (close === undefined || close !== closingOf(known.content)) return undefined
  const starts: number[] = []
  const ends: number[] = []
  const list: unknown[] = []
  const members: Record<string, unknown> = {}
  const names: string[] = []
  let parsedLength = 0
  let parsed = 0
  let parsedInRow = 0
  let next = 0

  function add(name: string | undefined, value: unknown): boolean {
    if (known.names === undefined) return list.push(value) > 0
    if (name === undefined || name === '__proto__' || Object.hasOwn(members, name)) return false
    members[name] = value
    return names.push(name) > 0
  }

  for (let at = 1; ; ) {
    let end: number
    const from = findRun(known, content, at, close, next, parsedInRow)
    if (from !== undefined) {
      const count = runLength(known, content, at, close, from)
      const shift = at - (known.starts[from] as number)
      for (let index = from; index < from + count; index += 1) {
        const name = known.names?.[index]
        const value = name === undefined ? (known.json as readonly unknown[])[index] : memberOf(known, name)
        if (!add(name, value)) return undefined
        starts.push((known.starts[index] as number) + shift)
        ends.push((known.ends[index] as number) + shift)
      }
      next = from + count
      end = (known.ends[next - 1] as number) + shift
      parsedInRow = 0
    } else {
      parsed += 1
      parsedInRow += 1
      next += 1
      if (parsed > freeParts + (starts.length - parsed) / knownForEach) return undefined
      end = endOfPart(content, at, close)
      if (end === -1) return undefined
      try {
        if (known.names === undefined) add(undefined, JSON.parse(textOf(content, at, end)))
        else {
          const member = parseMember(content, at, end)
          const [name] = Object.keys(member)
          if (!add(name, name === undefined ? undefined : member[name])) return undefined
        }
      } catch {
        // The whole body is parsed, and its error is reported.
        return undefined
      }
      starts.push(at)
      ends.push(end)
      parsedLength += end - at
    }
    if (codeAt(content, end) === close) {
      if (end + 1 !== content.length) return undefined
      const [json, own] = known.names === undefined ? [list, undefined] : [members, names]
      return { content, json, names: own, starts, ends, parsedLength }
    }
    at = end + 1
  }
}

/**
 * The known part that the part at `at` equals: the next one, the ones before it in whose place others were just parsed, or one
 * of those that follow.
 */
function findRun(
  known: Parts,
  content: WholeContent,
  at: number,
  close: number,
  next: number,
  parsedInRow: number,
): number | undefined {
  if (isRun(known, content, at, close, next, 1)) return next
  for (let index = next - 1; index >= next - parsedInRow; index -= 1)
    if (isRun(known, content, at, close, index, 1)) return index
  for (let index = next + 1; index <= next + maxRemoved; index += 1)
    if (isRun(known, content, at, close, index, 1)) return index
  return undefined
}

/** How many parts from this one on are the same. The first one is. */
function runLength(known: Parts, content: WholeContent, at: number, close: number, from: number): number {
  let same = 1
  let most = known.starts.length - from
  let tried = most
  while (same < most) {
    if (isRun(known, content, at, close, from, tried)) same = tried
    else most = tried - 1
    tried = same + Math.ceil((most - same) / 2)
  }
  return same
}

/** Whether `count` known parts from `from` on are the parts at `at`. */
function isRun(
  known: Parts,
  content: WholeContent,
  at: number,
  close: number,
  from: number,
  count: number,
): boolean {
  const start = known.starts[from]
  const end = known.ends[from + count - 1]
  if (start === undefined || end === undefined) return false
  const after = at + end - start
  if (after >= content.length || !isSame(known.content, start, end, content, at, after)) return false
  // A number may go on.
  const code = codeAt(content, after)
  return code === comma || code === close
}

function isSame(
  a: WholeContent,
  aStart: number,
  aEnd: number,
  b: WholeContent,
  bStart: number,
  bEnd: number,
): boolean {
  if (typeof a === 'string' || typeof b === 'string')
    return typeof a === typeof b && a.slice(aStart, aEnd) === b.slice(bStart, bEnd)
  return a.compare(b, bStart, bEnd, aStart, aEnd) === 0
}

function memberOf({ json }: Parts, name: string): unknown {
  return (json as Readonly<Record<string, unknown>>)[name]
}

/** The character that ends a list or an object. */
function closingOf(content: WholeContent): number | undefined {
  const code = codeAt(content, 0)
  return code === openList ? closeList : code === openObject ? closeObject : undefined
}

function codeAt(content: WholeContent, at: number): number {
  return typeof content === 'string' ? content.charCodeAt(at) : (content[at] ?? Number.NaN)
}

function textOf(content: WholeContent, start: number, end: number): string {
  return typeof content === 'string' ? content.slice(start, end) : content.toString('utf8', start, end)
}

/** @throws SyntaxError */
function parseMember(content: WholeContent, start: number, end: number): Readonly<Record<string, unknown>> {
  return JSON.parse(`{${textOf(content, start, end)}}`) as Readonly<Record<string, unknown>>
}

/** The position of the comma after a part, or of the end of its list or object; -1 without either. */
function endOfPart(content: WholeContent, start: number, close: number): number {
  let depth = 0
  for (let at = start; at < content.length; at += 1) {
    const code = codeAt(content, at)
    if (code === quote) {
      at += 1
      for (let inside = codeAt(content, at); inside !== quote; inside = codeAt(content, at)) {
        if (at >= content.length) return -1
        at += inside === backslash ? 2 : 1
      }
    } else if (depth === 0 && (code === comma || code === close)) return at
    else if (code === openList || code === openObject) depth += 1
    else if (code === closeList || code === closeObject) depth -= 1
  }
  return -1
}
