import { isRecord } from '../../json-values.ts'
import { parseMember } from './filter/member.ts'
import { createGetter, type Getter, resolveMember, type Subject } from './filter/subject.ts'
import { typeOfElement } from './values.ts'

/**
 * A text with names of members in double braces, such as `{{celsius}} degrees at {{path}}`. Names are those of filters: a name
 * that is no member of drops is that of an element. Nothing is evaluated.
 */
export interface Template {
  /**
   * @param encode makes text of a value safe where it is put in
   * @param known the texts of values of this drop that another template has read. What this one reads is added.
   */
  render(drop: Subject, encode?: (text: string) => string, known?: ValueTexts): string
}

/** Texts of the values of one drop, by their paths. */
export type ValueTexts = Map<string, string>

/** The message has the part of the template that is wrong. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
}

type Part = string | ((drop: Subject, known: ValueTexts) => string)

const maxPlaces = 50
/** The most characters of one value. */
const maxValueCharacters = 1000
/** What exceeds the most by one character is cut: no more of a large value is read. */
const enough = maxValueCharacters + 1

/** @throws TemplateError */
export function parseTemplate(text: string): Template {
  const parts: Part[] = []
  let end = 0
  for (let open = text.indexOf('{{'); open !== -1; open = text.indexOf('{{', end)) {
    const close = text.indexOf('}}', open)
    if (close === -1) throw new TemplateError(`has "{{" without "}}": "${text.slice(open, open + 40)}"`)
    parts.push(text.slice(end, open), parsePlace(text.slice(open + 2, close)))
    end = close + 2
  }
  parts.push(text.slice(end))
  if (parts.length > 2 * maxPlaces + 1) throw new TemplateError(`has more than ${maxPlaces} names in braces`)
  return {
    render: (drop, encode = (value) => value, known = new Map()) =>
      parts.map((part) => (typeof part === 'string' ? part : encode(part(drop, known)))).join(''),
  }
}

function parsePlace(written: string): Part {
  const member = parseMember(written.trim())
  if (member === undefined)
    throw new TemplateError(
      `must have the name of an element or member in braces, such as {{celsius}} or {{creationDate}}; got "{{${written.slice(0, 40)}}}"`,
    )
  const path = resolveMember(member, 'drop')
  const read = createGetter(path)
  const key = JSON.stringify(path)
  return (drop, known) => {
    const text = known.get(key) ?? print(read, path, drop)
    known.set(key, text)
    return text
  }
}

function print(read: Getter, path: readonly string[], drop: Subject): string {
  const value = read(drop)
  const text = isDate(value, path, drop) ? new Date(value).toISOString() : printValue(value, enough)
  if (text.length <= maxValueCharacters) return text
  return `${text.slice(0, maxValueCharacters - 1).toWellFormed()}…`
}

const dates = new Set(['creationDate', 'lastEditDate'])

function isDate(
  value: unknown,
  [first = '', name = '', ...rest]: readonly string[],
  drop: Subject,
): value is number {
  if (typeof value !== 'number' || Number.isNaN(new Date(value).getTime())) return false
  return first === 'elems'
    ? rest.length === 0 && typeOfElement(name, value, drop.elementTypes) === 'date'
    : dates.has(first)
}

/** The text of a value, or a beginning of it with `most` characters or more. */
function printValue(value: unknown, most: number): string {
  if (value === undefined || value === null) return ''
  if (Array.isArray(value)) return joinUntil(most, ', ', value, (item, left) => printValue(item, left))
  if (!isRecord(value)) return String(value)
  const { lat, lon, magnitude, unit } = value
  if (typeof lat === 'number' && typeof lon === 'number') return `${lat}, ${lon}`
  if (typeof magnitude === 'number') return typeof unit === 'string' ? `${magnitude} ${unit}` : `${magnitude}`
  return printJson(value, most)
}

/** The same as JSON. */
function printJson(value: unknown, most: number): string {
  if (Array.isArray(value)) return `[${joinUntil(most, ',', value, printJson)}]`
  if (typeof value === 'string') return JSON.stringify(value.slice(0, most))
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null'
  const members = joinUntil(
    most,
    ',',
    Object.keys(value),
    (name, left) => `${JSON.stringify(name)}:${printJson(value[name], left)}`,
  )
  return `{${members}}`
}

function joinUntil<T>(
  most: number,
  between: string,
  items: readonly T[],
  print: (item: T, left: number) => string,
): string {
  let text = ''
  for (const [index, item] of items.entries()) {
    if (text.length >= most) break
    text += `${index === 0 ? '' : between}${print(item, most - text.length)}`
  }
  return text
}
