declare module '@20minutes/s3rver' {
  import type { RequestListener } from 'node:http'

  /** What the tests use of it; the package has no types. */
  // biome-ignore lint/style/noDefaultExport: so does the package
  export default class S3rver {
    constructor(options: {
      directory: string
      silent: boolean
      vhostBuckets: boolean
      allowMismatchedSignatures: boolean
      configureBuckets: readonly { name: string }[]
    })
    configureBuckets(): Promise<void>
    callback(): RequestListener
  }
}
