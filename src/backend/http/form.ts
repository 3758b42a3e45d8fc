import { isRecord } from '../../json-values.ts'
import { HttpError } from './errors.ts'

/** The parameters of a form. The object has no prototype, so names such as `constructor` have no meaning. */
export type FormValues = Record<string, unknown>

/** Far more than any client sends. Each pair takes memory and time before a handler runs. */
const maxPairs = 1000
const maxNameLength = 200
/** The deepest name of the API, `thread[actions][][target][urlTemplate]`, has four levels. */
const maxDepth = 5

/**
 * Reads a query string or a URL-encoded body.
 *
 * @param parsed its pairs, if they were read before
 * @throws 400 for more than 1,000 pairs, a name longer than 200 characters or nested deeper than 5 levels
 */
export function readForm(text: string, parsed?: URLSearchParams): FormValues {
  // Pairs are counted before they are read, because reading a million pairs takes long.
  let pairs = 1
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', at + 1)) pairs += 1
  if (pairs > maxPairs) throw new HttpError(400, { message: `Form has more than ${maxPairs} pairs` })
  const values: FormValues = Object.create(null)
  for (const [name, value] of parsed ?? new URLSearchParams(text)) assignForm(values, name, value)
  return values
}

/**
 * Assigns a value by its Rails-style name: `author[name]`, `tags[]`, `thread[fields][][label]`.
 *
 * @throws 400 for a name longer than 200 characters or nested deeper than 5 levels
 */
export function assignForm(target: FormValues, name: string, value: unknown): void {
  const path = splitName(name)
  let node: FormValues | unknown[] = target
  for (const [index, key] of path.entries()) {
    const last = index === path.length - 1
    const next: unknown = last ? value : path[index + 1] === '' ? [] : Object.create(null)
    if (Array.isArray(node)) {
      const tail: unknown = node.at(-1)
      // A repeated key begins the next object of the list.
      const repeated = isRecord(tail) && (path[index + 1] ?? '') in tail
      if (last || !isRecord(tail) || repeated) node.push(next)
      if (last) return
      node = node.at(-1) as FormValues
    } else {
      if (last) node[key] = value
      else node[key] ??= next
      const child: unknown = node[key]
      if (typeof child !== 'object' || child === null) return
      node = child as FormValues | unknown[]
    }
  }
}

/** The keys of a name, outermost first. A bracket that is not closed is left out. */
function splitName(name: string): string[] {
  if (name.length > maxNameLength)
    throw new HttpError(400, { message: `Name of a parameter is longer than ${maxNameLength} characters` })
  if (name === '') return []
  let open = name.indexOf('[')
  if (open === -1) return [name]
  const keys = open === 0 ? [] : [name.slice(0, open)]
  let depth = 0
  while (open !== -1) {
    const close = name.indexOf(']', open)
    if (close === -1) break
    depth += 1
    if (depth > maxDepth)
      throw new HttpError(400, { message: `Name of a parameter is nested deeper than ${maxDepth} levels` })
    keys.push(name.slice(open + 1, close))
    open = name.indexOf('[', close)
  }
  return keys
}
