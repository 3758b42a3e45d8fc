import { HttpError, invalid } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import { decodeConfluence, decodeJira, decodeVcs, projectTags } from '../integration-events.ts'
import type { Request, Route } from '../route.ts'
import { segment } from './access.ts'
import { knownTokens, push, pushHolder } from './source-token.ts'

/** Services whose integrations posted events in a form that no public source documents. */
const undocumented = ['pivotaltracker', 'rss', 'svn', 'twitter', 'uservoice', 'zendesk']

/** The URLs of integrations of before 2014. The token in them is that of a flow or of a source. The router removes `/v1`. */
export const integrationRoutes: readonly Route[] = [
  {
    method: 'POST',
    pattern: '/github/:token',
    auth: 'any',
    holder: pushHolder,
    async handle(request, backend) {
      const [tokens, tags] = tokensAndTags(segment(request, 'token'), request.params)
      await knownTokens(tokens, backend.store.reader)
      const event = githubEvent(request)
      // GitHub sends a `ping` when the webhook is created.
      if (event === 'ping') return { status: 200, body: {} }
      const payload = payloadOf(request.params)
      const named = [`github:${event}`, ...projectTags(payload), ...tags]
      return push(tokens, decodeVcs(payload, event, named), backend)
    },
  },
  {
    method: 'POST',
    pattern: '/git/:token',
    auth: 'any',
    holder: pushHolder,
    async handle(request, backend) {
      const [tokens, tags] = tokensAndTags(segment(request, 'token'), request.params)
      await knownTokens(tokens, backend.store.reader)
      return push(tokens, decodeVcs(payloadOf(request.params), 'push', tags), backend)
    },
  },
  {
    // GitHub's own integration of 2011 sent the token as a parameter.
    method: 'POST',
    pattern: '/git',
    auth: 'any',
    holder: pushHolder,
    async handle({ params }, backend) {
      const tokens = await parameterTokens(params, 'token', backend)
      return push(tokens, decodeVcs(payloadOf(params), 'push', params.list('tags') ?? []), backend)
    },
  },
  {
    method: 'POST',
    pattern: '/jira/:token',
    auth: 'any',
    holder: pushHolder,
    async handle(request, backend) {
      const [tokens, tags] = tokensAndTags(segment(request, 'token'), request.params)
      await knownTokens(tokens, backend.store.reader)
      return push(tokens, decodeJira(request.params.all(), tags), backend)
    },
  },
  {
    method: 'POST',
    pattern: '/jari/confluence/messages',
    auth: 'any',
    holder: pushHolder,
    async handle({ params }, backend) {
      const tokens = await parameterTokens(params, 'tokens', backend)
      return push(tokens, decodeConfluence(params.all(), params.list('tags') ?? []), backend)
    },
  },
  {
    method: 'POST',
    pattern: '/jari/:service/messages',
    auth: 'any',
    holder: pushHolder,
    async handle(request, backend) {
      await parameterTokens(request.params, 'tokens', backend)
      throw notServed()
    },
  },
  ...undocumented.map(
    (service): Route => ({
      method: 'POST',
      pattern: `/${service}/:token`,
      auth: 'any',
      holder: pushHolder,
      async handle(request, { store }) {
        await knownTokens(segment(request, 'token'), store.reader)
        throw notServed()
      },
    }),
  ),
]

function notServed(): HttpError {
  return new HttpError(404, {
    message:
      'not found: this URL of an old integration is not served. Post to /v1/messages/team_inbox/ with the same token, or to /messages with the flow_token of a source',
  })
}

/** The vendor's git hook joins tags to the token with plus signs. */
function tokensAndTags(text: string, params: Params): [tokens: string, tags: string[]] {
  const [tokens = '', ...tags] = text.split('+')
  return [tokens, [...tags.filter((tag) => tag !== ''), ...(params.list('tags') ?? [])]]
}

async function parameterTokens(
  params: Params,
  name: string,
  { store }: Parameters<typeof push>[2],
): Promise<string> {
  const tokens = params.string(name)
  if (tokens === undefined) throw invalid({ [name]: ["can't be blank"] })
  await knownTokens(tokens, store.reader)
  return tokens
}

function githubEvent({ headers, params }: Request): string {
  const event = String(headers['x-github-event'] ?? params.string('event') ?? 'push')
  if (!/^[a-z_]{1,50}$/.test(event)) throw invalid({ event: ['must be the name of a GitHub event'] })
  return event
}

/** The parameters of the query string beside a JSON body. */
function withoutCredentials(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { access_token: _access, flow_token: _flow, token: _token, tags: _tags, ...payload } = values
  return payload
}

/** JSON as the parameter `payload` of a form, or as the body. @throws 400 for anything else */
function payloadOf(params: Params): Readonly<Record<string, unknown>> {
  const text = params.string('payload')
  if (text === undefined) return withoutCredentials(params.all())
  try {
    const payload: unknown = JSON.parse(text)
    if (typeof payload === 'object' && payload !== null && !Array.isArray(payload))
      return payload as Record<string, unknown>
  } catch {
    // The same error as for JSON that is not an object.
  }
  throw invalid({ payload: ['must be a JSON object'] })
}
