import type { Http } from './http.ts'

/** Refuses every call that could change something. @throws Error for such a call, which is a mistake of the program */
export function readOnly(http: Http): Http {
  return {
    ...http,
    async request(request) {
      if (request.method !== 'GET') throw new Error(`Expected a call that reads, got ${request.method}`)
      return http.request(request)
    },
    async upload() {
      throw new Error('Expected a call that reads, got an upload')
    },
  }
}
