import * as drops from '../resolvers/things-drops.ts'
import { builder } from './builder.ts'

builder.objectType('ThingsLocation', {
  description: 'A place on the earth.',
  fields: (t) => ({
    latitude: t.exposeFloat('latitude', { description: 'The latitude in degrees.' }),
    longitude: t.exposeFloat('longitude', { description: 'The longitude in degrees.' }),
    specifiers: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What the place is called, such as `{"city": "Bern"}`. Null when nothing says it.',
      resolve: (location) => location.specifiers,
    }),
  }),
})

builder.objectType('Drop', {
  description: 'What was written to a flow of flowthings at one time: named values, which are its elements.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: drops.id }),
    databaseId: t.exposeID('id', { description: 'The id in the upstream: `d` and 24 hexadecimal digits.' }),
    path: t.exposeString('path', { description: 'The path of the flow.' }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'The time when it was written.',
      resolve: (drop) => drop.createdAt,
    }),
    editedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The time of the last change. Null when it was not changed.',
      resolve: (drop) => drop.editedAt,
    }),
    version: t.exposeInt('version', { description: 'The number of changes so far.' }),
    fhash: t.exposeString('fhash', {
      nullable: true,
      description:
        'A key that is unique in the flow: a drop with the same key replaces this one. Null when it has none.',
    }),
    location: t.field({
      type: 'ThingsLocation',
      nullable: true,
      description: 'The place that it was written at. Null when nothing says it.',
      resolve: (drop) => drop.location,
    }),
    thingsFlow: t.field({
      type: 'ThingsFlow',
      nullable: true,
      calls: { isBulk: true },
      description: 'The flow. Null when you cannot see it.',
      resolve: drops.flow,
    }),
    parentDrop: t.field({
      type: 'Drop',
      nullable: true,
      calls: { each: 1 },
      description: 'The drop of which a track made this one. Null when no track did, or you cannot see it.',
      resolve: drops.parent,
    }),
    elements: t.field({
      type: ['DropElement'],
      listSize: 20,
      description: 'The elements with their types.',
      args: {
        names: t.arg.stringList({
          description: 'The names of the elements, in this order. Those that it does not have are left out.',
        }),
      },
      resolve: drops.elements,
    }),
    element: t.field({
      type: 'ElementValue',
      nullable: true,
      description: 'One element. Null when the drop does not have it.',
      args: {
        path: t.arg.string({
          required: true,
          description: 'The name of the element, or the path to a value in maps: `engine.temperature`.',
        }),
      },
      resolve: drops.element,
    }),
    json: t.field({
      type: 'JSON',
      description: 'All elements as an object of JSON, without types.',
      resolve: (drop) => drop.json,
    }),
  }),
})

builder.objectType('DropElement', {
  description: 'A named value.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name.' }),
    value: t.field({
      type: 'ElementValue',
      description: 'The value with its type.',
      resolve: ({ value }) => value,
    }),
    json: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The value as JSON, without types.',
      resolve: ({ value }) => value.json,
    }),
  }),
})

builder.interfaceType('ElementValue', {
  description: 'A value of a drop, with its type.',
  fields: (t) => ({
    type: t.exposeString('type', {
      description: 'The type in the words of flowthings, such as `integer`, `date` or `email`.',
    }),
    json: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The value as JSON, without types.',
      resolve: (value) => value.json,
    }),
  }),
  resolveType: drops.elementType,
})

builder.objectType('TextElement', {
  description: 'A text, also an e-mail address, a URL or an id.',
  interfaces: ['ElementValue'],
  fields: (t) => ({ text: t.exposeString('text', { description: 'The text.' }) }),
})

builder.objectType('NumberElement', {
  description: 'A number.',
  interfaces: ['ElementValue'],
  fields: (t) => ({ number: t.exposeFloat('number', { description: 'The number.' }) }),
})

builder.objectType('BooleanElement', {
  description: 'True or false.',
  interfaces: ['ElementValue'],
  fields: (t) => ({ boolean: t.exposeBoolean('boolean', { description: 'The value.' }) }),
})

builder.objectType('TimeElement', {
  description: 'A time.',
  interfaces: ['ElementValue'],
  fields: (t) => ({
    time: t.field({ type: 'DateTime', description: 'The time.', resolve: (value) => value.time }),
  }),
})

builder.objectType('LocationElement', {
  description: 'A place on the earth.',
  interfaces: ['ElementValue'],
  fields: (t) => ({
    location: t.field({
      type: 'ThingsLocation',
      description: 'The place.',
      resolve: (value) => value.location,
    }),
  }),
})

builder.objectType('QuantityElement', {
  description: 'A length or a duration.',
  interfaces: ['ElementValue'],
  fields: (t) => ({
    magnitude: t.exposeFloat('magnitude', { description: 'The number of units.' }),
    unit: t.exposeString('unit', { description: 'The unit, such as `meters` or `milliseconds`.' }),
  }),
})

builder.objectType('DropReferenceElement', {
  description: 'Names a drop.',
  interfaces: ['ElementValue'],
  fields: (t) => ({
    drop: t.field({
      type: 'Drop',
      nullable: true,
      calls: { each: 1 },
      description: 'The drop. Null when it does not exist or you cannot see it.',
      resolve: drops.referencedDrop,
    }),
  }),
})

builder.objectType('ListElement', {
  description: 'A list or a set.',
  interfaces: ['ElementValue'],
  fields: (t) => ({
    items: t.field({
      type: ['ElementValue'],
      listSize: 20,
      description: 'The values.',
      resolve: (value) => value.items,
    }),
  }),
})

builder.objectType('MapElement', {
  description: 'Named values.',
  interfaces: ['ElementValue'],
  fields: (t) => ({
    entries: t.field({
      type: ['DropElement'],
      listSize: 20,
      description: 'The values with their names.',
      resolve: (value) => value.entries,
    }),
  }),
})

builder.objectType('OtherElement', {
  description: 'A value of another type.',
  interfaces: ['ElementValue'],
})

const filter = { type: 'ThingsFilter', description: 'The drops to list; all by default.' } as const

builder.objectFields('ThingsFlow', (t) => ({
  drops: t.connection(
    {
      type: 'Drop',
      nullable: true,
      calls: { isBulk: true },
      listSize: 20,
      description:
        'The drops that the flow stores, by time of creation; `first: 20` by default. Pages neither repeat nor lose drops while others arrive. The lists of several flows are read together. Null when they cannot be read.',
      args: {
        filter: t.arg(filter),
        order: t.arg({
          type: 'ThingsOrder',
          required: true,
          defaultValue: 'desc',
          description: 'The order of the list.',
        }),
      },
      resolve: drops.flowDrops,
    },
    { name: 'DropConnection' },
    { name: 'DropEdge' },
  ),
  latestDrop: t.field({
    type: 'Drop',
    nullable: true,
    calls: { isBulk: true },
    description: 'The newest drop. Null when there is none.',
    args: { filter: t.arg({ ...filter, description: 'The newest of these drops; of all by default.' }) },
    resolve: drops.latestDrop,
  }),
}))
