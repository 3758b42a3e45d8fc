import Negotiator from 'negotiator'
import { notFound, unauthorized } from '../../http/errors.ts'
import { guidePage } from '../consent-page.ts'
import type { Answer, Request, Route } from '../route.ts'

/** The content of a page. */
interface Guide {
  readonly title: string
  readonly text: string
  /** How to continue: a sentence, and what to type. */
  readonly steps: readonly { readonly text: string; readonly code: string }[]
}

type Describe = (request: Request) => Guide

/**
 * The `web_url` and the join URL of flows lead here. The service had a web application there; this server has none, so a person
 * who opens one in a browser gets a page that says how to continue. The page does not depend on whether the object of the URL
 * exists. Other clients get 401, or 404 with a credential.
 */
export const webPageRoutes: readonly Route[] = [
  page('/app/private/:user', describeConversation),
  page('/app/private/:user/messages/:message', describeConversation),
  page('/app/:organization/:flow', describeFlow),
  page('/app/:organization/:flow/messages/:message', describeFlow),
  page('/app/:organization/:flow/threads/:thread', describeFlow),
  page('/invitations/:code', describeInvitation),
]

function page(pattern: string, describe: Describe): Route {
  return {
    method: 'GET',
    pattern,
    auth: 'any',
    async handle(request): Promise<Answer> {
      if (prefersHtml(request)) return guidePage(describe(request))
      throw request.userRequest === undefined ? unauthorized() : notFound()
    },
  }
}

/** Browsers ask for `text/html` first; a client that takes anything gets JSON. */
function prefersHtml({ headers }: Request): boolean {
  const negotiator = new Negotiator({ headers: { accept: headers.accept ?? '*/*' } })
  return negotiator.mediaType(['application/json', 'text/html']) === 'text/html'
}

function describeFlow(request: Request): Guide {
  const { organization = '', flow = '', thread, message } = request.path
  const what = message === undefined ? (thread === undefined ? 'flow' : 'thread') : 'message'
  const place = what === 'flow' ? '' : ` in the flow ${organization}/${flow}`
  const fields = '{ nodes { sentAt author { name } text } }'
  const selection = {
    flow: `... on Flow { name messages(last: 20) ${fields} }`,
    thread: `... on Thread { title messages(last: 20) ${fields} }`,
    message: '... on Message { sentAt author { name } text }',
  }[what]
  return {
    title: what === 'flow' ? `The flow ${organization}/${flow}` : `A ${what}${place}`,
    text: `This is the address of a ${what}${place} on a Flowdock-compatible server. The server has no web application: members of the flow read it with the GraphQL API or with a Flowdock client.`,
    steps: [
      {
        text: 'With the GraphQL API: open /graphql of the gateway in your browser (port 4000 unless its administrator chose another), set your token, and run this query.',
        code: `{ resource(url: ${JSON.stringify(urlOf(request, 'app', ...segmentsOf(request)))}) { __typename ${selection} } }`,
      },
      {
        text: 'With the REST API, in a terminal:',
        code: curl(
          '',
          urlOf(request, 'flows', ...segmentsOf(request), ...(message === undefined ? ['messages'] : [])),
        ),
      },
    ],
  }
}

/** The path segments of the kinds of objects in a flow, which are those of the REST API. */
function segmentsOf({ path }: Request): string[] {
  const { organization = '', flow = '', thread, message } = path
  return [
    organization,
    flow,
    ...(thread === undefined ? [] : ['threads', thread]),
    ...(message === undefined ? [] : ['messages', message]),
  ]
}

function describeConversation(request: Request): Guide {
  const { user = '' } = request.path
  return {
    title: 'A private conversation',
    text: 'This is the address of your private conversation with a user of a Flowdock-compatible server. The server has no web application: read the conversation with the GraphQL API or with a Flowdock client.',
    steps: [
      {
        text: 'With the GraphQL API: open /graphql of the gateway in your browser (port 4000 unless its administrator chose another), set your token, and run this query.',
        code: `{ resource(url: ${JSON.stringify(urlOf(request, 'app', 'private', user))}) { ... on PrivateConversation { user { name } messages(last: 20) { nodes { sentAt author { name } text } } } } }`,
      },
      {
        text: 'With the REST API, in a terminal:',
        code: curl('', urlOf(request, 'private', user, 'messages')),
      },
    ],
  }
}

function describeInvitation(request: Request): Guide {
  return {
    title: 'An invitation to a flow',
    text: 'This URL lets users of a Flowdock-compatible server join one of its flows. You need an account on the server: its administrator makes one, and gives you a token.',
    steps: [
      {
        text: 'To join the flow, run this in a terminal, with your token in place of TOKEN. The response names the flow.',
        code: curl('-X POST ', urlOf(request, 'invitations', request.path['code'] ?? '')),
      },
    ],
  }
}

function curl(options: string, url: string): string {
  return `curl ${options}-u TOKEN: '${url}'`
}

/** Encodes segments of the request URL so that they are safe between quotes in a shell. */
function urlOf({ base }: Request, ...segments: string[]): string {
  return [base, ...segments.map((segment) => encodeURIComponent(segment).replaceAll("'", '%27'))].join('/')
}
