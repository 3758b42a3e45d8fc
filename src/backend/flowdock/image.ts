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
