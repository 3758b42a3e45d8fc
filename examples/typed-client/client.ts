/** A client whose answers have types: the compiler knows every field of every query, and finds those that are not there. */
import { initGraphQLTada, type TadaDocumentNode } from 'gql.tada'
import { print } from 'graphql'
import type { introspection } from './graphql-env.d.ts'

export const graphql = initGraphQLTada<{
  introspection: introspection
  scalars: { DateTime: string; JSON: unknown; Upload: File }
}>()

export interface Client {
  request<Result, Variables>(
    document: TadaDocumentNode<Result, Variables>,
    variables: Variables,
  ): Promise<Result>
}

/** @param url the gateway's, such as `http://127.0.0.1:4000` @param token a personal token */
export function createClient(url: string, token: string): Client {
  return {
    async request<Result, Variables>(document: TadaDocumentNode<Result, Variables>, variables: Variables) {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa(`${token}:`)}`, 'content-type': 'application/json' },
        body: JSON.stringify({ query: print(document), variables }),
      })
      const { data, errors } = (await response.json()) as { data?: Result; errors?: { message: string }[] }
      if (data === undefined || errors !== undefined)
        throw new Error(errors?.[0]?.message ?? `The gateway answered ${response.status}`)
      return data
    },
  }
}
