import * as statistics from '../resolvers/things-statistics.ts'
import type { AggregationRow } from '../upstream/flowthings/model.ts'
import type { StatisticsBucket } from '../upstream/flowthings/statistics.ts'
import { builder } from './builder.ts'

const DropFunction = builder.enumType('DropFunction', {
  description: 'How a value is computed from several drops.',
  values: {
    COUNT: { value: 'count', description: 'The number of drops.' },
    SUM: { value: 'sum', description: 'The sum of the numbers; 0 without any.' },
    AVERAGE: { value: 'avg', description: 'The average of the numbers; null without any.' },
    MIN: { value: 'min', description: 'The smallest number; null without any.' },
    MAX: { value: 'max', description: 'The greatest number; null without any.' },
    UNIQUE: { value: 'unique', description: 'A list of the values, each once.' },
    ALL: { value: 'all', description: 'A list of all values, in the order of the drops.' },
  } as const,
})

const DatePart = builder.enumType('ThingsDatePart', {
  description:
    'A part of a date in UTC. Rows have keys for the larger parts, too: an hour is one of a certain day.',
  values: {
    YEAR: { value: 'year', description: 'The year.' },
    MONTH: { value: 'month', description: 'The month, from 1.' },
    DAY: { value: 'day', description: 'The day of the month, from 1.' },
    HOUR: { value: 'hour', description: 'The hour, from 0.' },
    MINUTE: { value: 'minute', description: 'The minute, from 0.' },
    SECOND: { value: 'second', description: 'The second, from 0.' },
  } as const,
})

const member = { description: 'The value of a member, such as `elems.temperature`.' }
const rule = {
  description: 'The name of one of `rules`: 1 for a drop that matches it, and 0 for others.',
}
const distanceTo = {
  description:
    'The name of one of `rules` that is one `within`: the distance to its point, in the unit of the rule.',
}

const DropValueInput = builder.inputType('DropValueInput', {
  isOneOf: true,
  description: 'A value of each drop, by exactly one of these fields.',
  fields: (t) => ({
    member: t.string(member),
    rule: t.string(rule),
    distanceTo: t.string(distanceTo),
  }),
})

const DropOutputInput = builder.inputType('DropOutputInput', {
  description: 'A value to compute for each row, such as `{ function: AVERAGE, of: { member: "temp" } }`.',
  fields: (t) => ({
    function: t.field({ type: DropFunction, required: true, description: 'How it is computed.' }),
    of: t.field({
      type: DropValueInput,
      description: 'The value of each drop to compute with. Absent for `COUNT`, and required otherwise.',
    }),
  }),
})

const DropTimeInput = builder.inputType('DropTimeInput', {
  description: 'A part of a date.',
  fields: (t) => ({
    part: t.field({ type: DatePart, required: true, description: 'The part.' }),
    member: t.string({ description: 'The name of a member that is a date; by default `creationDate`.' }),
  }),
})

const DropKeyInput = builder.inputType('DropKeyInput', {
  isOneOf: true,
  description: 'What the drops of one row have in common, by exactly one of these fields.',
  fields: (t) => ({
    member: t.string(member),
    rule: t.string(rule),
    distanceTo: t.string(distanceTo),
    time: t.field({ type: DropTimeInput, description: 'A part of a date.' }),
  }),
})

const DropRowOrder = builder.enumType('DropRowOrder', {
  description: 'The order of rows by a value.',
  values: {
    ASCENDING: { value: 'asc', description: 'The smallest comes first.' },
    DESCENDING: { value: 'desc', description: 'The greatest comes first.' },
  } as const,
})

const DropSortInput = builder.inputType('DropSortInput', {
  description: 'A value to sort rows by: either an output or a key of the aggregation.',
  fields: (t) => ({
    output: t.field({ type: DropOutputInput, description: 'One of `outputs`.' }),
    groupBy: t.field({ type: DropKeyInput, description: 'One of `groupBy`, or a larger part of its date.' }),
    order: t.field({ type: DropRowOrder, required: true, defaultValue: 'asc', description: 'The order.' }),
  }),
})

const DropRuleInput = builder.inputType('DropRuleInput', {
  description: 'A filter with a name, whose result is a value of each drop.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'A name of letters, digits and underscores.' }),
    filter: t.field({ type: 'ThingsFilter', required: true, description: 'The filter.' }),
  }),
})

const DropAggregationInput = builder.inputType('DropAggregationInput', {
  description: 'What to compute from the drops of a flow. Each list has at most 20 items.',
  fields: (t) => ({
    outputs: t.field({ type: [DropOutputInput], required: true, description: 'What each row has.' }),
    groupBy: t.field({
      type: [DropKeyInput],
      description: 'There is one row for each combination of these keys; one row of all drops by default.',
    }),
    filter: t.field({ type: 'ThingsFilter', description: 'The drops to use; all by default.' }),
    rules: t.field({ type: [DropRuleInput], description: 'Filters to use as values.' }),
    sorts: t.field({
      type: [DropSortInput],
      description: 'The order of the rows. By default they are in the order of the first drop of each.',
    }),
  }),
})

const DropAggregationRow = builder.objectRef<AggregationRow>('DropAggregationRow').implement({
  description: 'What was computed from the drops that have the same keys.',
  fields: (t) => ({
    keys: t.field({
      type: ['DropElement'],
      listSize: 5,
      description:
        'The keys, with the names that flowthings gives them: `temp` for a member and `$hour` for a part of a date.',
      resolve: (row) => row.keys,
    }),
    values: t.field({
      type: ['DropElement'],
      listSize: 5,
      description: 'The outputs, with the names that flowthings gives them: `$count`, `$avg:temp`.',
      resolve: (row) => row.values,
    }),
    json: t.field({
      type: 'JSON',
      description: 'The row as JSON: outputs by their names, and `id` with the keys.',
      resolve: (row) => row.json,
    }),
  }),
})

const DropAggregation = builder.objectRef<statistics.DropAggregation>('DropAggregation').implement({
  description: 'The result of an aggregation.',
  fields: (t) => ({
    rowCount: t.int({
      description: 'The number of rows, 10,000 at most.',
      resolve: ({ rows }) => rows.length,
    }),
    rows: t.field({
      type: [DropAggregationRow],
      listSize: 100,
      description: 'The rows. Empty when no drop matched.',
      args: {
        first: t.arg.int({
          required: true,
          defaultValue: 100,
          description: 'The number of rows to return, 1 to 1000.',
        }),
      },
      resolve: statistics.rows,
    }),
  }),
})

builder.objectField('ThingsFlow', 'aggregate', (t) =>
  t.field({
    type: DropAggregation,
    nullable: true,
    calls: { each: 1 },
    description:
      'Computes sums, averages and the like from the drops that the flow stores, in one call. Null when they cannot be read.',
    args: {
      input: t.arg({ type: DropAggregationInput, required: true, description: 'What to compute.' }),
    },
    resolve: statistics.aggregate,
  }),
)

const ThingsStatisticsBucket = builder.objectRef<StatisticsBucket>('ThingsStatisticsBucket').implement({
  description: 'How often something happened in a part of a period.',
  fields: (t) => ({
    from: t.field({ type: 'DateTime', description: 'The start of the part.', resolve: ({ from }) => from }),
    to: t.field({ type: 'DateTime', description: 'The start of the next part.', resolve: ({ to }) => to }),
    count: t.exposeInt('count', { description: 'The number of times.' }),
  }),
})

const ThingsStatistics = builder.objectRef<statistics.ThingsStatistics>('ThingsStatistics').implement({
  description: 'How often something happened in a period.',
  fields: (t) => ({
    total: t.int({ description: 'The number of times in the whole period.', resolve: statistics.total }),
    buckets: t.field({
      type: [ThingsStatisticsBucket],
      listSize: 31,
      description: 'The parts of the period in their order, 1000 at most.',
      resolve: ({ buckets }) => buckets,
    }),
  }),
})

const StatisticsLevel = builder.enumType('ThingsStatisticsLevel', {
  description: 'The size of the parts of a period.',
  values: {
    YEAR: { value: 'year', description: 'A year.' },
    MONTH: { value: 'month', description: 'A month.' },
    DAY: { value: 'day', description: 'A day.' },
    HOUR: { value: 'hour', description: 'An hour.' },
  } as const,
})

const FlowStatistic = builder.enumType('ThingsFlowStatistic', {
  description: 'What is counted for a flow.',
  values: {
    DROPS_ADDED: { value: 'flowDropAdded', description: 'Drops that arrived.' },
    DROPS_TRACKED: { value: 'flowTracked', description: 'Drops that passed the filter of a track.' },
  } as const,
})

const TrackStatistic = builder.enumType('TrackStatistic', {
  description: 'What is counted for a track.',
  values: {
    HITS: { value: 'trackHit', description: 'Drops that reached the track.' },
    PASSES: { value: 'trackPass', description: 'Drops that passed its filter.' },
  } as const,
})

const IdentityStatistic = builder.enumType('ThingsIdentityStatistic', {
  description: 'What is counted for an identity.',
  values: {
    API_CALLS: { value: 'apiCallByIdentity', description: 'Calls to the API.' },
    DROPS_CREATED: { value: 'dropCreatedBy', description: 'Drops that it wrote.' },
  } as const,
})

type StatisticsKind = typeof FlowStatistic | typeof TrackStatistic | typeof IdentityStatistic

for (const [type, input, kind] of [
  ['ThingsFlow', 'ThingsFlowStatisticsInput', FlowStatistic],
  ['Track', 'TrackStatisticsInput', TrackStatistic],
  ['ThingsIdentity', 'ThingsIdentityStatisticsInput', IdentityStatistic],
] as const)
  builder.objectField(type, 'statistics', (t) =>
    t.field({
      type: ThingsStatistics,
      nullable: true,
      calls: { each: 1 },
      description: 'Counts what happened in a year, a month or a day of UTC. Null when it cannot be read.',
      args: {
        input: t.arg({
          type: statisticsInput(input, kind),
          required: true,
          description: 'What to count, and when.',
        }),
      },
      resolve: statistics.statistics,
    }),
  )

function statisticsInput<Kind extends StatisticsKind>(name: string, kind: Kind) {
  return builder.inputType(name, {
    description: 'What to count, and the period in UTC.',
    fields: (t) => ({
      kind: t.field({ type: kind as StatisticsKind, required: true, description: 'What to count.' }),
      year: t.int({ required: true, description: 'The year, from 1970.' }),
      month: t.int({ description: 'The month of the year, 1 to 12. The whole year by default.' }),
      day: t.int({ description: 'The day of the month, from 1. The whole month by default.' }),
      bucket: t.field({
        type: StatisticsLevel,
        description:
          'The size of the parts. By default the months of a year, the days of a month, or the hours of a day.',
      }),
    }),
  })
}
