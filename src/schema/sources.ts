import { decoded } from '../resolvers/decoded.ts'
import * as sources from '../resolvers/sources.ts'
import type { Source } from '../upstream/flowdock/model.ts'
import { builder, nullable } from './builder.ts'
import { mutation, mutationInput, mutationPayload } from './mutation.ts'

builder.objectType('Source', {
  description:
    'An integration that posts to the inbox of a flow, such as an issue tracker or a build server.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ sharing: 'same', description: 'The global id.', resolve: sources.id }),
    databaseId: t.exposeInt('id', { sharing: 'same', description: 'The number in the upstream.' }),
    name: t.exposeString('name', { sharing: 'same', description: 'The display name.' }),
    url: t.exposeString('url', {
      nullable: true,
      sharing: 'same',
      description: 'The URL in the REST API. Null when the upstream gives none.',
    }),
    externalUrl: t.exposeString('externalUrl', {
      nullable: true,
      sharing: 'same',
      description: 'The URL of the page whose changes the integration posts.',
    }),
    configurationUrl: t.exposeString('configurationUrl', {
      nullable: true,
      description: 'The URL where the integration is configured.',
    }),
    application: t.field({
      type: 'SourceApplication',
      sharing: 'same',
      description: 'The application that runs the integration.',
      resolve: (source) => source.application,
    }),
    creator: t.field({
      type: 'User',
      nullable: true,
      description: 'The user who added the integration. Null when the upstream does not say.',
      resolve: (source) => decoded(source.creator),
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
      description: 'The flow that the integration posts to. Null when you cannot see it.',
      resolve: sources.flow,
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'The time when the integration was added.',
      resolve: (source) => source.createdAt,
    }),
    updatedAt: t.field({
      type: 'DateTime',
      description: 'The time of the last change.',
      resolve: (source) => source.updatedAt,
    }),
  }),
})

builder.objectType('SourceApplication', {
  sharing: 'same',
  description: 'The application that runs a source.',
  fields: (t) => ({
    databaseId: t.exposeInt('id', { description: 'The number in the upstream.' }),
    name: t.exposeString('name', { description: 'The display name.' }),
    iconUrl: t.exposeString('iconUrl', nullable('The URL of an icon. Null when there is none.')),
    url: t.exposeString('url', { description: 'The URL of the application.' }),
  }),
})

const SourceConnection = builder.connectionObject(
  { type: 'Source', name: 'SourceConnection' },
  { name: 'SourceEdge' },
)

builder.objectField('Flow', 'sources', (t) =>
  t.connection(
    {
      type: 'Source',
      nullable: true,
      calls: { batch: 'flow sources' },
      listSize: 100,
      description:
        'The sources that post to the flow, ordered by id; `first: 100` by default. Null when they cannot be read.',
      resolve: sources.flowSources,
    },
    SourceConnection,
  ),
)

builder.queryField('sources', (t) =>
  t.connection(
    {
      type: 'Source',
      calls: { once: ['sources'] },
      listSize: 100,
      description: 'The sources of all flows that you have joined, ordered by id; `first: 100` by default.',
      resolve: sources.sources,
    },
    SourceConnection,
  ),
)

const CreateSourcePayload = mutationPayload<{ source: Source; flowToken: string }>('CreateSourcePayload', {
  description: 'The result of an added source.',
  fields: (t) => ({
    source: t.field({ type: 'Source', description: 'The source.', resolve: ({ source }) => source }),
    flowToken: t.exposeString('flowToken', {
      description:
        'The secret with which the integration posts, as `flowToken` of `present`. It is returned only once: store it.',
    }),
  }),
})

const SourcePayload = mutationPayload<{ source: Source }>('SourcePayload', {
  description: 'The result of a changed source.',
  fields: (t) => ({
    source: t.field({
      type: 'Source',
      description: 'The source after the change.',
      resolve: ({ source }) => source,
    }),
  }),
})

const DeleteSourcePayload = mutationPayload<{ sourceId: string }>('DeleteSourcePayload', {
  description: 'The result of a removed source.',
  fields: (t) => ({
    deletedSourceId: t.id({
      description: 'The global id of the removed source.',
      resolve: ({ sourceId }) => sourceId,
    }),
  }),
})

mutation('createSource', {
  description: 'Adds a source to a flow.',
  input: mutationInput('CreateSourceInput', {
    description: 'The source to add.',
    fields: (t) => ({
      flow: t.field({ type: 'FlowBy', required: true, description: 'The flow that the source posts to.' }),
      name: t.string({ required: true, description: 'The display name.' }),
      externalUrl: t.string({ description: 'The URL of the page whose changes the integration posts.' }),
    }),
  }),
  payload: CreateSourcePayload,
  resolve: sources.createSource,
})

mutation('updateSource', {
  description: 'Changes a source.',
  input: mutationInput('UpdateSourceInput', {
    description: 'The changes to a source. Fields that are not given keep their values.',
    fields: (t) => ({
      sourceId: t.id({ required: true, description: 'The global id of the source.' }),
      errorMessage: t.string({
        description:
          'A message for users about a problem of the integration. A blank text says that there is no problem.',
      }),
      configurationUrl: t.string({ description: 'The URL where the integration is configured.' }),
    }),
  }),
  payload: SourcePayload,
  resolve: sources.updateSource,
})

mutation('reportSourceProblem', {
  description:
    'Reports a problem of an integration, or that the problem is solved. Needs no credential except the flow token.',
  input: mutationInput('ReportSourceProblemInput', {
    description: 'The state that an integration reports of itself.',
    fields: (t) => ({
      flowToken: t.string({ required: true, description: 'The secret with which the integration posts.' }),
      errorMessage: t.string({
        description:
          'A message for users about a problem of the integration. A blank text says that there is no problem.',
      }),
      configurationUrl: t.string({ description: 'The URL where the integration is configured.' }),
    }),
  }),
  payload: SourcePayload,
  resolve: sources.reportSourceProblem,
})

mutation('deleteSource', {
  description: 'Removes a source. Its messages stay. Its flow token stops working.',
  input: mutationInput('DeleteSourceInput', {
    description: 'The source to remove.',
    fields: (t) => ({
      sourceId: t.id({ required: true, description: 'The global id of the source.' }),
    }),
  }),
  payload: DeleteSourcePayload,
  resolve: sources.deleteSource,
})
