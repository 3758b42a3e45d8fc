import type { Http } from './http.ts'

/**
 * Adds headers to each call to one server, and to no other call: files may be on another server.
 *
 * @param origin scheme, host and port of the server
 */
export function addHeaders(http: Http, origin: string, added: Readonly<Record<string, string>>): Http {
  const more = (url: URL, headers: Readonly<Record<string, string>>) =>
    url.origin === origin ? { ...headers, ...added } : headers
  return {
    request: (request) => http.request({ ...request, headers: more(request.url, request.headers) }),
    openStream: (url, headers, signal) => http.openStream(url, more(url, headers), signal),
    openDownload: (url, headers, signal) => http.openDownload(url, more(url, headers), signal),
    openPublicDownload: (url, headers, signal) => http.openPublicDownload(url, headers, signal),
    upload: (url, headers, bytes, signal) => http.upload(url, more(url, headers), bytes, signal),
    close: () => http.close(),
  }
}
