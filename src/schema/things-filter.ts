import { builder } from './builder.ts'

const Comparison = builder.enumType('ThingsComparison', {
  description: 'How a member is compared.',
  values: {
    EQUAL: { value: '==', description: 'The same value.' },
    NOT_EQUAL: { value: '!=', description: 'Another value, or no such member.' },
    LESS: { value: '<', description: 'A smaller value.' },
    AT_MOST: { value: '<=', description: 'A smaller value or the same.' },
    GREATER: { value: '>', description: 'A greater value.' },
    AT_LEAST: { value: '>=', description: 'A greater value or the same.' },
  } as const,
})

const LengthUnit = builder.enumType('ThingsLengthUnit', {
  description: 'A unit of distances.',
  values: {
    KILOMETERS: { value: 'KM', description: '1000 meters.' },
    METERS: { value: 'METERS', description: 'Meters.' },
    MILES: { value: 'MILES', description: '1609.344 meters.' },
    FEET: { value: 'FEET', description: '0.3048 meters.' },
  } as const,
})

const member =
  'The name of a member, such as `elems.temperature`. A name that is no member of drops is that of an element.'
const aMember = { required: true as const, description: member }

const CompareFilter = builder.inputType('ThingsCompareFilter', {
  description: 'Compares a member with a value, or with another member.',
  fields: (t) => ({
    member: t.string(aMember),
    comparison: t.field({ type: Comparison, required: true, description: 'How it is compared.' }),
    value: t.field({
      type: 'JSON',
      description: 'A text, a number, a boolean or null. Not together with `otherMember`.',
    }),
    otherMember: t.string({ description: 'The name of the member to compare with.' }),
  }),
})

const RemainderFilter = builder.inputType('ThingsRemainderFilter', {
  description: 'Compares the remainder of the division of a member.',
  fields: (t) => ({
    member: t.string(aMember),
    divisor: t.int({ required: true, description: 'The number that the member is divided by; not 0.' }),
    comparison: t.field({
      type: Comparison,
      required: true,
      defaultValue: '==',
      description: '`EQUAL` or `NOT_EQUAL`.',
    }),
    remainder: t.int({ required: true, description: 'The remainder to compare with.' }),
  }),
})

const MatchesFilter = builder.inputType('ThingsMatchesFilter', {
  description: 'Looks for a regular expression in texts.',
  fields: (t) => ({
    member: t.string({
      description: `${member} By default, all texts of the drop are searched.`,
    }),
    pattern: t.string({
      required: true,
      description: 'The regular expression. It matches anywhere in the text unless it has `^` and `$`.',
    }),
    ignoreCase: t.boolean({ description: 'Whether upper and lower case are the same; by default not.' }),
  }),
})

const ValuesFilter = builder.inputType('ThingsValuesFilter', {
  description: 'A member, and values to look for.',
  fields: (t) => ({
    member: t.string(aMember),
    values: t.field({
      type: ['JSON'],
      required: true,
      description: 'Texts, numbers, booleans or nulls.',
    }),
  }),
})

const WithinFilter = builder.inputType('ThingsWithinFilter', {
  description: 'Locations near a point.',
  fields: (t) => ({
    member: t.string({
      required: true,
      defaultValue: 'location',
      description: 'The name of a member that is a location.',
    }),
    distance: t.float({ required: true, description: 'The greatest distance.' }),
    unit: t.field({
      type: LengthUnit,
      required: true,
      defaultValue: 'KM',
      description: 'The unit of the distance.',
    }),
    latitude: t.float({ required: true, description: 'The latitude of the point in degrees.' }),
    longitude: t.float({ required: true, description: 'The longitude of the point in degrees.' }),
  }),
})

const AgeFilter = builder.inputType('ThingsAgeFilter', {
  description: 'Compares the time since a date with a number of milliseconds.',
  fields: (t) => ({
    member: t.string({ description: 'The name of a member that is a date; by default `creationDate`.' }),
    comparison: t.field({ type: Comparison, required: true, description: 'How it is compared.' }),
    milliseconds: t.float({ required: true, description: 'The number of milliseconds.' }),
  }),
})

builder.inputType('ThingsFilter', {
  isOneOf: true,
  description:
    'A filter of flowthings, by exactly one of these fields. It becomes a text of the filter language in which each part has parentheses of its own.',
  fields: (t) => ({
    and: t.field({ type: ['ThingsFilter'], description: 'All of these filters match.' }),
    or: t.field({ type: ['ThingsFilter'], description: 'At least one of these filters matches.' }),
    not: t.field({ type: 'ThingsFilter', description: 'This filter does not match.' }),
    compare: t.field({ type: CompareFilter, description: 'A comparison with a value or a member.' }),
    remainder: t.field({ type: RemainderFilter, description: 'A comparison of a remainder.' }),
    matches: t.field({ type: MatchesFilter, description: 'A regular expression is found.' }),
    in: t.field({ type: ValuesFilter, description: 'The member is one of the values.' }),
    contains: t.field({ type: ValuesFilter, description: 'The member is a list that has all values.' }),
    within: t.field({ type: WithinFilter, description: 'The location is near a point.' }),
    exists: t.string({ description: `The member exists. ${member}` }),
    hasType: t.string({ description: 'An element has this data type, such as `float`.' }),
    age: t.field({ type: AgeFilter, description: 'The time since a date.' }),
  }),
})
