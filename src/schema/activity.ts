import * as activity from '../resolvers/activity.ts'
import { builder } from './builder.ts'

const ActivityBucketLength = builder.enumType('ActivityBucketLength', {
  description:
    'The length of the periods in which messages are counted. Periods begin at full hours and days of UTC.',
  values: {
    HOUR: { value: 'hour', description: 'One hour.' },
    DAY: { value: 'day', description: 'One day, from midnight UTC.' },
    WEEK: { value: 'week', description: 'One week, from Monday midnight UTC.' },
  } as const,
})

const ActivityGroupBy = builder.enumType('ActivityGroupBy', {
  description: 'The property by which counted messages are grouped.',
  values: {
    AUTHOR: { value: 'author', description: 'The author.' },
    KIND: { value: 'kind', description: 'The kind of message.' },
    TAG: {
      value: 'tag',
      description: 'The hashtags. A message with several hashtags counts in the group of each.',
    },
    THREAD_SOURCE: {
      value: 'source',
      description:
        'The source that created the thread. Messages of other threads form a group without a source.',
    },
  } as const,
})

const Group = builder.objectRef<activity.GroupInFlow>('ActivityGroup').implement({
  description: 'The number of messages that have one value of the property that `groupBy` names.',
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'The number of messages.' }),
    author: t.field({
      type: 'Author',
      nullable: true,
      calls: { once: ['users'] },
      description:
        'The author, with `groupBy: AUTHOR`. Null when the messages name no author or one whom you cannot see.',
      resolve: activity.author,
    }),
    event: t.exposeString('event', {
      nullable: true,
      description:
        'The kind of the messages in the upstream’s words, as in `Message.event`. Null without `groupBy: KIND`.',
    }),
    tag: t.exposeString('tag', {
      nullable: true,
      description: 'The hashtag in lower case, without `#`. Null without `groupBy: TAG`.',
    }),
    source: t.field({
      type: 'Source',
      nullable: true,
      description:
        'The source, with `groupBy: THREAD_SOURCE`. Null for threads without a source, and when the source was removed.',
      resolve: activity.source,
    }),
  }),
})

const Bucket = builder.objectRef<activity.ActivityBucket>('ActivityBucket').implement({
  description: 'The number of messages in one period.',
  fields: (t) => ({
    start: t.field({
      type: 'DateTime',
      description: 'The start of the period, inclusive.',
      resolve: ({ start }) => start,
    }),
    end: t.field({
      type: 'DateTime',
      description: 'The end of the period, exclusive.',
      resolve: ({ end }) => end,
    }),
    count: t.exposeInt('count', { description: 'The number of messages.' }),
    groups: t.field({
      type: [Group],
      listSize: 100,
      description: 'The counts of this period by group, the largest first. Empty without `groupBy`.',
      resolve: ({ groups }) => [...groups],
    }),
  }),
})

const Activity = builder.objectRef<activity.FlowActivity>('FlowActivity').implement({
  description:
    'The number of messages in a flow. Joins, invitations, tag changes, edits and deletions are not counted.',
  fields: (t) => ({
    since: t.field({
      type: 'DateTime',
      description: 'The start of the counted time, inclusive.',
      resolve: ({ since }) => since,
    }),
    until: t.field({
      type: 'DateTime',
      description: 'The end of the counted time, exclusive.',
      resolve: ({ until }) => until,
    }),
    count: t.int({
      description: 'The number of messages in the whole time.',
      resolve: ({ buckets }) => buckets.reduce((sum, { count }) => sum + count, 0),
    }),
    isExhaustive: t.boolean({
      description:
        'Whether every message was counted. Without the capability `ACTIVITY`, only the newest 1,000 messages of the flow are counted.',
      resolve: ({ since, coveredSince }) => coveredSince <= since,
    }),
    coveredSince: t.field({
      type: 'DateTime',
      description:
        'The time from which on every message was counted. Later than `since` when `isExhaustive` is false.',
      resolve: ({ coveredSince }) => coveredSince,
    }),
    groups: t.field({
      type: [Group],
      listSize: 100,
      description: 'The counts of the whole time by group, the largest first. Empty without `groupBy`.',
      resolve: activity.groups,
    }),
    buckets: t.field({
      type: [Bucket],
      listSize: 30,
      description:
        'The counts of all periods, oldest first, including periods without messages. The first and the last period may extend beyond `since` and `until`.',
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
    description: 'The number of messages by period, for dashboards. Null when it cannot be read.',
    args: {
      since: t.arg({
        type: 'DateTime',
        description: 'Count messages from this time on. Seven days before `until` by default.',
      }),
      until: t.arg({ type: 'DateTime', description: 'Count messages before this time. Now by default.' }),
      bucket: t.arg({
        type: ActivityBucketLength,
        required: true,
        defaultValue: 'day',
        description:
          'The length of a period. The time between `since` and `until` may have at most 1,000 periods.',
      }),
      groupBy: t.arg({
        type: ActivityGroupBy,
        description: 'The property to group by. Not grouped by default.',
      }),
    },
    resolve: activity.activity,
  }),
)

const FlowActivityInput = builder.inputType('FlowActivityInput', {
  description: 'The messages to count, and how often to deliver a count.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'A flow that you have joined.' }),
    windowMinutes: t.int({
      required: true,
      defaultValue: 60,
      description: 'The number of minutes before now in which messages are counted, 1 to 10,080.',
    }),
    bucket: t.field({
      type: ActivityBucketLength,
      required: true,
      defaultValue: 'hour',
      description: 'The length of a period.',
    }),
    groupBy: t.field({
      type: ActivityGroupBy,
      description: 'The property to group by. Not grouped by default.',
    }),
    throttleMs: t.int({
      required: true,
      defaultValue: 1000,
      description: 'The least number of milliseconds between two deliveries, 250 to 60,000.',
    }),
  }),
})

builder.subscriptionField('flowActivity', (t) =>
  t.field({
    type: Activity,
    isVolatile: true,
    description:
      'Delivers the number of messages in the last minutes, for dashboards: at once, after each new message, and as time passes. When several changes come within `throttleMs`, only the latest count is delivered.',
    args: {
      input: t.arg({
        type: FlowActivityInput,
        required: true,
        description: 'The messages to count, and how often to deliver a count.',
      }),
    },
    subscribe: activity.subscribeFlowActivity,
    resolve: activity.liveActivity,
  }),
)
