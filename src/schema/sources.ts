import * as sources from '../resolvers/sources.ts'
import { builder } from './builder.ts'

builder.objectType('Source', {
  description: 'An integration that posts to a flow: a tracker, a build server, a help desk.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ description: 'The global id.', resolve: sources.id }),
    databaseId: t.exposeInt('id', { description: 'The number the upstream knows it by.' }),
    name: t.exposeString('name', { description: 'The name people see.' }),
    url: t.exposeString('url', { description: 'Its address in the REST API.' }),
    externalUrl: t.exposeString('externalUrl', {
      nullable: true,
      description: 'The page of the service it brings in.',
    }),
    application: t.field({
      type: 'SourceApplication',
      description: 'The application behind it.',
      resolve: (source) => source.application,
    }),
    creator: t.field({
      type: 'User',
      nullable: true,
      description: 'Who set it up; null where the upstream does not say.',
      resolve: (source) => source.creator,
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      description: 'The flow it posts to.',
      resolve: sources.flow,
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it was set up.',
      resolve: (source) => source.createdAt,
    }),
    updatedAt: t.field({
      type: 'DateTime',
      description: 'When it was last changed.',
      resolve: (source) => source.updatedAt,
    }),
  }),
})

builder.objectType('SourceApplication', {
  description: 'The application behind a source.',
  fields: (t) => ({
    databaseId: t.exposeInt('id', { description: 'The number the upstream knows it by.' }),
    name: t.exposeString('name', { description: 'The name people see.' }),
    iconUrl: t.exposeString('iconUrl', { nullable: true, description: 'A picture of it.' }),
    url: t.exposeString('url', { description: 'Its page.' }),
  }),
})

builder.objectField('Flow', 'sources', (t) =>
  t.field({
    type: ['Source'],
    nullable: true,
    description: 'The integrations that post here.',
    resolve: sources.flowSources,
  }),
)

builder.queryField('sources', (t) =>
  t.field({
    type: ['Source'],
    description: 'The integrations of every flow you have joined.',
    resolve: sources.sources,
  }),
)
