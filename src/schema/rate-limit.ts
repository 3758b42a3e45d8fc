import * as rateLimits from '../resolvers/rate-limit.ts'
import type { RateLimit } from '../traffic/rate-limiter.ts'
import { builder } from './builder.ts'

const RateLimitType = builder.objectRef<RateLimit>('RateLimit').implement({
  description: 'How many calls to the upstream your operations may cause.',
  fields: (t) => ({
    limit: t.exposeInt('limit', { description: 'How many in a minute.' }),
    remaining: t.exposeInt('remaining', { description: 'How many are left; they come back evenly.' }),
    resetsAt: t.field({
      type: 'DateTime',
      description: 'When all of them are there again, if no more are made.',
      resolve: ({ resetsAt }) => resetsAt,
    }),
    used: t.int({
      description: 'How many this operation has made so far; `extensions.cost` has all of them.',
      resolve: rateLimits.used,
    }),
  }),
})

builder.queryField('rateLimit', (t) =>
  t.field({
    type: RateLimitType,
    nullable: true,
    isVolatile: true,
    description: 'What you may still ask of the upstream; null without a limit, or without a credential.',
    resolve: rateLimits.rateLimit,
  }),
)
