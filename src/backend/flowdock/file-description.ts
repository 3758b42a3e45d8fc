import { cut, maxCharacters } from '../bounds.ts'

const typePattern = /^[\w.+-]+\/[\w.+-]+$/

/** A media type that can stand in a header; anything else is only bytes. */
export function plainContentType(type: string | undefined): string {
  const isPlain = type !== undefined && type.length <= maxCharacters.content_type && typePattern.test(type)
  return isPlain ? type : 'application/octet-stream'
}

/** A name to show and to save under: without folders, control characters and half characters. */
export function plainFileName(name: string): string {
  const plain = cut(
    name
      .replace(/[\p{Cc}/\\]/gu, '_')
      .trim()
      .toWellFormed(),
    maxCharacters.file_name,
  )
  return /^\.*$/.test(plain) ? 'file' : plain
}
