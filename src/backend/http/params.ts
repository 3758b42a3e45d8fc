import { isRecord } from '../../json-values.ts'
import type { ReceivedFile } from '../files.ts'
import { invalid } from './errors.ts'

/** A file part of a multipart body, on the disk but not kept yet. */
export class UploadedFile {
  readonly file: ReceivedFile
  readonly fileName: string
  readonly contentType: string

  constructor(file: ReceivedFile, fileName: string, contentType: string) {
    this.file = file
    this.fileName = fileName
    this.contentType = contentType
  }
}

/** Texts that may be empty: an empty text removes the stored one. */
const clearable = new Set([
  'body',
  'configuration_url',
  'description',
  'drop_filter',
  'error_message',
  'external_url',
  'password',
  'thread_key',
  'thread_title',
])
/** Texts that users write, and the bytes of a file in Base64: here "null" does not mean a missing value. */
const prose = new Set([
  ...['body', 'content', 'data', 'description', 'error_message', 'file_name', 'label', 'list', 'name'],
  ...['nick', 'password', 'search', 'state', 'subject', 'title', 'username', 'value'],
  ...['thread_key', 'thread_title'],
])

/**
 * The parameters of a request, from its path, query string, form or JSON body; also with GET.
 *
 * A parameter that is null, blank or the text "null" counts as not given: clients send these for missing values.
 */
export class Params {
  readonly #values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.raw(name) !== undefined
  }

  /** Whether it was sent as null, which removes a value where one can be left as it is. */
  isNull(name: string): boolean {
    return this.#values[name] === null
  }

  /** The parameter as it was sent; undefined when it is not given. */
  raw(name: string): unknown {
    const value = this.#values[name] ?? undefined
    if (typeof value !== 'string') return value
    const text = value.trim()
    const isAbsent = (text === '' && !clearable.has(name)) || (text === 'null' && !prose.has(name))
    return isAbsent ? undefined : value
  }

  /** All parameters as they were sent, without files. */
  all(): Readonly<Record<string, unknown>> {
    return Object.fromEntries(
      Object.entries(this.#values).filter(([, value]) => !(value instanceof UploadedFile)),
    )
  }

  /** @throws 400 when it is neither text nor a number */
  string(name: string): string | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    // JSON can contain half of a surrogate pair; UTF-8 cannot.
    if (typeof value === 'string') return value.toWellFormed()
    if (typeof value === 'number' || typeof value === 'boolean') return String(value)
    throw invalid({ [name]: ['must be a string'] })
  }

  /** @throws 400 when it is not a whole number */
  integer(name: string): number | undefined {
    const value = this.string(name)
    if (value === undefined) return undefined
    if (!/^-?\d{1,15}$/.test(value)) throw invalid({ [name]: ['must be a whole number'] })
    return Number(value)
  }

  /** `1`, `true`, `True` are true; `0` and `false` are false. @throws 400 for anything else */
  boolean(name: string): boolean | undefined {
    const value = this.string(name)?.toLowerCase()
    if (value === undefined) return undefined
    if (value === '1' || value === 'true') return true
    if (value === '0' || value === 'false') return false
    throw invalid({ [name]: ['must be true or false'] })
  }

  /** An array, or an object whose keys are numbers, which `tags[0]=a` in a form makes; anything else as it was sent. */
  items(name: string): unknown {
    const value = this.raw(name)
    if (!isRecord(value)) return value
    const entries = Object.entries(value)
    if (entries.length === 0 || !entries.every(([key]) => /^\d{1,9}$/.test(key))) return value
    return entries.toSorted(([a], [b]) => Number(a) - Number(b)).map(([, item]) => item)
  }

  /** An array, or text with commas, as an array without blank items. @throws 400 for anything else */
  list(name: string): string[] | undefined {
    const value = this.items(name)
    if (value === undefined) return undefined
    const items: unknown[] = Array.isArray(value)
      ? value
      : typeof value === 'string'
        ? value.split(',')
        : [value]
    return items
      .map((item) => {
        if (item === null) return ''
        if (typeof item === 'string') return item.trim().toWellFormed()
        if (typeof item === 'number') return String(item)
        throw invalid({ [name]: ['must be a list of strings'] })
      })
      .filter((item) => item !== '')
  }

  /** A file of a multipart body. */
  file(name: string): UploadedFile | undefined {
    const value = this.raw(name)
    return value instanceof UploadedFile ? value : undefined
  }

  /** The files of a multipart body under one name, each with its key: `key` of `name[key]`, blank for `name[]`. */
  files(name: string): [own: string, file: UploadedFile][] {
    const value = this.raw(name)
    const entries: [string, unknown][] = Array.isArray(value)
      ? value.map((file) => ['', file])
      : isRecord(value)
        ? Object.entries(value)
        : []
    return entries.flatMap(([own, file]) => (file instanceof UploadedFile ? [[own, file]] : []))
  }

  /** A nested object. @throws 400 for anything else */
  object(name: string): Params | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (!isRecord(value)) throw invalid({ [name]: ['must be an object'] })
    return new Params(value)
  }

  /** A list of objects. @throws 400 for anything else */
  objects(name: string): Params[] | undefined {
    const value = this.items(name)
    if (value === undefined) return undefined
    if (!Array.isArray(value) || !value.every(isRecord))
      throw invalid({ [name]: ['must be a list of objects'] })
    return value.map((item) => new Params(item))
  }
}
