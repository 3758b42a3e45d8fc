import { imageSize } from 'image-size'

/** Width and height in pixels, read from the first bytes of an image; undefined when they do not tell. */
export function imageDimensions(head: Uint8Array): { width: number; height: number } | undefined {
  try {
    const { width, height } = imageSize(head)
    return Number.isFinite(width) && Number.isFinite(height) ? { width, height } : undefined
  } catch {
    // Not an image, whatever its type says.
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

/** The media type of a picture that browsers show without running anything, read from its bytes; undefined for anything else. */
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
 * A smaller picture of an image; undefined for what is none, is too large, or where the image library does not run.
 *
 * @param path of the image's file
 */
export async function makeThumbnail(path: string, contentType: string): Promise<Thumbnail | undefined> {
  if (!shownTypes.test(contentType)) return undefined
  try {
    // Loaded when there is an image: it is large, and not there for every kind of machine.
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
