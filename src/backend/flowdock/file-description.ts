import { cut, maxCharacters } from '../bounds.ts'

/** The longest extension, with its dot. A longer one counts as a part of the name. */
const maxExtension = 32
const typePattern = /^[\w.+-]+\/[\w.+-]+$/

/** A media type that a header can hold; any other becomes `application/octet-stream`. */
export function plainContentType(type: string | undefined): string {
  const isPlain = type !== undefined && type.length <= maxCharacters.content_type && typePattern.test(type)
  return isPlain ? type : 'application/octet-stream'
}

/** A name for downloads: without folders, control characters and halves of surrogate pairs. */
export function plainFileName(name: string): string {
  const plain = cutName(
    name
      .replace(/[\p{Cc}/\\]/gu, '_')
      .trim()
      .toWellFormed(),
  )
  return /^\.*$/.test(plain) ? 'file' : plain
}

/** Cuts the part before the extension, because programs open a file by its extension. */
function cutName(name: string): string {
  if (name.length <= maxCharacters.file_name) return name
  const dot = name.lastIndexOf('.')
  const extension = name.slice(dot)
  if (dot <= 0 || extension.length > maxExtension) return cut(name, maxCharacters.file_name)
  return cut(name.slice(0, dot), maxCharacters.file_name - extension.length) + extension
}
