import type { Http, HttpAnswer, HttpRequest } from './http.ts'

/** The trace that calls belong to. */
export interface CallTrace {
  /** A call begins. @returns headers to send, and a function to call with the status, if there was a response */
  call(
    method: string,
    url: URL,
  ): { readonly headers: Readonly<Record<string, string>>; end(status: number | undefined): void }
}

/** Makes a call as a part of a trace. @throws what `http.request` throws */
export async function tracedRequest(
  http: Pick<Http, 'request'>,
  trace: CallTrace | undefined,
  request: HttpRequest,
): Promise<HttpAnswer> {
  if (trace === undefined) return http.request(request)
  const { headers, end } = trace.call(request.method, request.url)
  let status: number | undefined
  try {
    const answer = await http.request({ ...request, headers: { ...request.headers, ...headers } })
    status = answer.status
    return answer
  } finally {
    end(status)
  }
}
