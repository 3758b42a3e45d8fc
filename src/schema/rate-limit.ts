import * as rateLimits from '../resolvers/rate-limit.ts'
import type { RateLimit } from '../traffic/rate-limiter.ts'
import { builder } from './builder.ts'

const RateLimitType = builder.objectRef<RateLimit>('RateLimit').implement({
  description: 'The number of calls to the upstream that your operations may make.',
  fields: (t) => ({
    limit: t.exposeInt('limit', { description: 'The number of calls per minute.' }),
    remaining: t.exposeInt('remaining', {
      description: 'The number of calls that you can make now. It grows evenly to `limit` within a minute.',
    }),
    resetsAt: t.field({
      type: 'DateTime',
      description: 'The time when `remaining` reaches `limit` if you make no more calls.',
      resolve: ({ resetsAt }) => resetsAt,
    }),
    used: t.int({
      description:
        'The number of calls that this operation has made until this field was resolved. `extensions.cost` has the number of the whole operation.',
      resolve: rateLimits.used,
    }),
  }),
})

builder.queryField('rateLimit', (t) =>
  t.field({
    type: RateLimitType,
    nullable: true,
    isVolatile: true,
    description: 'Your rate limit. Null when the server sets no limit, or the request has no credential.',
    resolve: rateLimits.rateLimit,
  }),
)
