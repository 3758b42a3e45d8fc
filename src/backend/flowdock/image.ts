import { imageSize } from 'image-size'

/** Width and height in pixels, from the first bytes of an image. Undefined when they cannot be read. */
export function imageDimensions(head: Uint8Array): { width: number; height: number } | undefined {
  try {
    const { width, height } = imageSize(head)
    return Number.isFinite(width) && Number.isFinite(height) ? { width, height } : undefined
  } catch {
    // Not an image, although its media type says so.
    return undefined
  }
}

/** By the names that the package gives them. */
const pictureTypes = new Map([
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['gif', 'image/gif'],
  ['webp', 'image/webp'],
])

/** The media type of a picture in a format without scripts, from its bytes. Undefined for any other file. */
export function pictureType(bytes: Uint8Array): string | undefined {
  try {
    return pictureTypes.get(imageSize(bytes).type ?? '')
  } catch {
    return undefined
  }
}

export interface Thumbnail {
  readonly bytes: Uint8Array
  readonly contentType: string
  readonly width: number
  readonly height: number
}

/** [flowdock] files.md shows thumbnails of 100 pixels. */
const thumbnailPixels = 100
/** A small file may unpack to an image that fills the memory. */
const maxPixels = 50_000_000
const shownTypes = /^image\/(png|jpeg|gif|webp)$/

/**
 * A thumbnail of an image. Undefined for other files, for an image that is too large, and where the image library does not run.
 *
 * @param path of the image's file
 */
export async function makeThumbnail(path: string, contentType: string): Promise<Thumbnail | undefined> {
  if (!shownTypes.test(contentType)) return undefined
  try {
    // Loaded for the first image: the library is large, and does not exist for every platform.
    const { default: sharp } = await import('sharp')
    const { data, info } = await sharp(path, { limitInputPixels: maxPixels, sequentialRead: true })
      .rotate()
      .resize(thumbnailPixels, thumbnailPixels, { fit: 'inside', withoutEnlargement: true })
      .timeout({ seconds: 5 })
      .toFormat(contentType === 'image/jpeg' ? 'jpeg' : 'png')
      .toBuffer({ resolveWithObject: true })
    return { bytes: data, contentType: `image/${info.format}`, width: info.width, height: info.height }
  } catch {
    return undefined
  }
}
