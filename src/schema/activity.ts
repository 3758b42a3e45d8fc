import * as activity from '../resolvers/activity.ts'
import { builder } from './builder.ts'

const ActivityBucketLength = builder.enumType('ActivityBucketLength', {
  description: 'How long the stretches of time are that messages are counted in; they begin in UTC.',
  values: {
    HOUR: { value: 'hour', description: 'From one full hour to the next.' },
    DAY: { value: 'day', description: 'From midnight to midnight.' },
    WEEK: { value: 'week', description: 'From Monday to Monday.' },
  } as const,
})

const ActivityGroupBy = builder.enumType('ActivityGroupBy', {
  description: 'What to tell apart in each stretch of time.',
  values: {
    AUTHOR: { value: 'author', description: 'Who wrote.' },
    KIND: { value: 'kind', description: 'The kind of message.' },
    TAG: { value: 'tag', description: 'Hashtags; a message with several counts for each.' },
    THREAD_SOURCE: {
      value: 'source',
      description: 'The integration of the thread; none for conversations.',
    },
  } as const,
})

const Group = builder.objectRef<activity.GroupInFlow>('ActivityGroup').implement({
  description: 'How much of what was written belongs together. What `groupBy` named is there.',
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'How many messages.' }),
    author: t.field({
      type: 'Author',
      nullable: true,
      calls: { once: ['users'] },
      description: 'Who wrote them, with `AUTHOR`; null when nobody is named.',
      resolve: activity.author,
    }),
    event: t.exposeString('event', {
      nullable: true,
      description: "The upstream's name for their kind, as in `Message.event`, with `KIND`.",
    }),
    tag: t.exposeString('tag', { nullable: true, description: 'The hashtag in lower case, with `TAG`.' }),
    source: t.field({
      type: 'Source',
      nullable: true,
      description: 'The integration, with `THREAD_SOURCE`; null for conversations, and when it was removed.',
      resolve: activity.source,
    }),
  }),
})

const Bucket = builder.objectRef<activity.ActivityBucket>('ActivityBucket').implement({
  description: 'How much was written in a stretch of time.',
  fields: (t) => ({
    start: t.field({ type: 'DateTime', description: 'When it begins.', resolve: ({ start }) => start }),
    end: t.field({
      type: 'DateTime',
      description: 'When it ends; what was sent then is in the next one.',
      resolve: ({ end }) => end,
    }),
    count: t.exposeInt('count', { description: 'How many messages.' }),
    groups: t.field({
      type: [Group],
      listSize: 100,
      description: 'The same told apart, the largest first; empty without `groupBy`.',
      resolve: ({ groups }) => [...groups],
    }),
  }),
})

const Activity = builder.objectRef<activity.FlowActivity>('FlowActivity').implement({
  description: 'How much was written in a flow: by people and integrations, not what was merely done.',
  fields: (t) => ({
    since: t.field({
      type: 'DateTime',
      description: 'From when on it is counted.',
      resolve: ({ since }) => since,
    }),
    until: t.field({ type: 'DateTime', description: 'Until when.', resolve: ({ until }) => until }),
    count: t.int({
      description: 'How many messages in all.',
      resolve: ({ buckets }) => buckets.reduce((sum, { count }) => sum + count, 0),
    }),
    isExhaustive: t.boolean({
      description:
        'Whether every message was counted. Without the capability `ACTIVITY` the newest 1,000 of the flow are.',
      resolve: ({ since, coveredSince }) => coveredSince <= since,
    }),
    coveredSince: t.field({
      type: 'DateTime',
      description: 'From when on every message was counted; later than `since` when not all were.',
      resolve: ({ coveredSince }) => coveredSince,
    }),
    groups: t.field({
      type: [Group],
      listSize: 100,
      description: 'What is told apart, over all the time, the largest first; empty without `groupBy`.',
      resolve: activity.groups,
    }),
    buckets: t.field({
      type: [Bucket],
      listSize: 30,
      description: 'One after the other, without a gap; the first and the last may reach beyond the times.',
      resolve: ({ buckets }) => [...buckets],
    }),
  }),
})

builder.objectField('Flow', 'activity', (t) =>
  t.field({
    type: Activity,
    nullable: true,
    calls: { each: 1, once: ['capabilities'], batch: 'flow sources' },
    isVolatile: true,
    description: 'How much was written in it, for dashboards.',
    args: {
      since: t.arg({
        type: 'DateTime',
        description: 'From when on; seven days before `until` unless given.',
      }),
      until: t.arg({ type: 'DateTime', description: 'Until when; now unless given.' }),
      bucket: t.arg({
        type: ActivityBucketLength,
        required: true,
        defaultValue: 'day',
        description: 'How long each stretch of time is; there are at most 1,000.',
      }),
      groupBy: t.arg({ type: ActivityGroupBy, description: 'What to tell apart in each.' }),
    },
    resolve: activity.activity,
  }),
)

const FlowActivityInput = builder.inputType('FlowActivityInput', {
  description: 'What to count, and how often to tell.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow; one you have joined.' }),
    windowMinutes: t.int({
      required: true,
      defaultValue: 60,
      description: 'How far back it is counted, 1 minute to 7 days.',
    }),
    bucket: t.field({
      type: ActivityBucketLength,
      required: true,
      defaultValue: 'hour',
      description: 'How long each stretch of time is.',
    }),
    groupBy: t.field({ type: ActivityGroupBy, description: 'What to tell apart.' }),
    throttleMs: t.int({
      required: true,
      defaultValue: 1000,
      description: 'How much time lies between two counts at least, 250 to 60,000 ms.',
    }),
  }),
})

builder.subscriptionField('flowActivity', (t) =>
  t.field({
    type: Activity,
    isVolatile: true,
    description:
      'Counts what was written in the last minutes, for dashboards: at once, then whenever something is written or the time has moved on. The latest count alone is told.',
    args: { input: t.arg({ type: FlowActivityInput, required: true, description: 'What to count.' }) },
    subscribe: activity.subscribeFlowActivity,
    resolve: activity.liveActivity,
  }),
)
