import * as tickets from '../resolvers/stream-tickets.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

const CreateStreamTicketPayload = mutationPayload<tickets.StreamUrl>('CreateStreamTicketPayload', {
  description: 'A ticket that opens one event stream.',
  fields: (t) => ({
    url: t.exposeString('url', {
      description:
        'The path of the stream on this host. Add `&query=` with a subscription, and `&variables=`, and open it with `EventSource`.',
    }),
    ticket: t.exposeString('ticket', {
      description: 'The ticket in that path. Treat it as a secret until it is used.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When an unused ticket expires, 60 seconds after it was made. An open stream goes on.',
      resolve: ({ expiresAt }) => expiresAt,
    }),
  }),
})

mutation('createStreamTicket', {
  description:
    'Makes a ticket that opens one subscription over server-sent events with your rights, without an `Authorization` header. It works once, and where several gateways have one key, once at each.',
  input: mutationInput('CreateStreamTicketInput', {
    description: 'No options.',
    fields: () => ({}),
  }),
  payload: CreateStreamTicketPayload,
  resolve: tickets.createStreamTicket,
})
