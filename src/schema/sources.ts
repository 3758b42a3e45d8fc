import { decoded } from '../resolvers/decoded.ts'
import * as sources from '../resolvers/sources.ts'
import type { Source } from '../upstream/flowdock/model.ts'
import { builder, mutationInput, mutationPayload, mutationResult } from './builder.ts'

builder.objectType('Source', {
  description: 'An integration that posts to a flow: a tracker, a build server, a help desk.',
  interfaces: [builder.nodeInterfaceRef()],
  fields: (t) => ({
    id: t.id({ sharing: 'same', description: 'The global id.', resolve: sources.id }),
    databaseId: t.exposeInt('id', { sharing: 'same', description: 'The number the upstream knows it by.' }),
    name: t.exposeString('name', { sharing: 'same', description: 'The name people see.' }),
    url: t.exposeString('url', { nullable: true, sharing: 'same', description: 'The URL in the REST API.' }),
    externalUrl: t.exposeString('externalUrl', {
      nullable: true,
      sharing: 'same',
      description: 'The page of the service it brings in.',
    }),
    configurationUrl: t.exposeString('configurationUrl', {
      nullable: true,
      description: 'Where it is set up.',
    }),
    application: t.field({
      type: 'SourceApplication',
      sharing: 'same',
      description: 'The application behind it.',
      resolve: (source) => source.application,
    }),
    creator: t.field({
      type: 'User',
      nullable: true,
      description: 'Who set it up; null where the upstream does not say.',
      resolve: (source) => decoded(source.creator),
    }),
    flow: t.field({
      type: 'Flow',
      nullable: true,
      calls: { batch: 'flows' },
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
  sharing: 'same',
  description: 'The application behind a source.',
  fields: (t) => ({
    databaseId: t.exposeInt('id', { description: 'The number the upstream knows it by.' }),
    name: t.exposeString('name', { description: 'The name people see.' }),
    iconUrl: t.exposeString('iconUrl', { nullable: true, description: 'A picture of it.' }),
    url: t.exposeString('url', { description: 'Its page.' }),
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
      description: 'The integrations that post here.',
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
      description: 'The integrations of every flow you have joined.',
      resolve: sources.sources,
    },
    SourceConnection,
  ),
)

const CreateSourcePayload = mutationPayload<{ source: Source; flowToken: string }>('CreateSourcePayload', {
  description: 'An integration was added.',
  fields: (t) => ({
    source: t.field({ type: 'Source', description: 'The source.', resolve: ({ source }) => source }),
    flowToken: t.exposeString('flowToken', {
      description: 'What the integration posts with. Keep it: it is not to be had again.',
    }),
  }),
})

const SourcePayload = mutationPayload<{ source: Source }>('SourcePayload', {
  description: 'An integration was changed.',
  fields: (t) => ({
    source: t.field({
      type: 'Source',
      description: 'The source as it is now.',
      resolve: ({ source }) => source,
    }),
  }),
})

const DeleteSourcePayload = mutationPayload<{ sourceId: string }>('DeleteSourcePayload', {
  description: 'An integration was removed.',
  fields: (t) => ({
    deletedSourceId: t.id({ description: 'Its global id.', resolve: ({ sourceId }) => sourceId }),
  }),
})

const CreateSourceInput = mutationInput('CreateSourceInput', {
  description: 'An integration to add to a flow.',
  fields: (t) => ({
    flow: t.field({ type: 'FlowBy', required: true, description: 'The flow it is to post to.' }),
    name: t.string({ required: true, description: 'The name people see.' }),
    externalUrl: t.string({ description: 'The page of the service it brings in.' }),
  }),
})

const UpdateSourceInput = mutationInput('UpdateSourceInput', {
  description: 'Changes to an integration; what is not given stays.',
  fields: (t) => ({
    sourceId: t.id({ required: true, description: 'The global id of the source.' }),
    errorMessage: t.string({ description: 'What is wrong with it, for people; blank when all is well.' }),
    configurationUrl: t.string({ description: 'Where it is set up.' }),
  }),
})

const ReportSourceProblemInput = mutationInput('ReportSourceProblemInput', {
  description: 'What an integration says of itself.',
  fields: (t) => ({
    flowToken: t.string({ required: true, description: 'The token it posts with.' }),
    errorMessage: t.string({ description: 'What is wrong with it, for people; blank when all is well.' }),
    configurationUrl: t.string({ description: 'Where it is set up.' }),
  }),
})

const DeleteSourceInput = mutationInput('DeleteSourceInput', {
  description: 'An integration to remove.',
  fields: (t) => ({
    sourceId: t.id({ required: true, description: 'The global id of the source.' }),
  }),
})

builder.mutationFields((t) => ({
  createSource: t.field({
    type: CreateSourcePayload,
    description: 'Adds an integration to a flow.',
    args: { input: t.arg({ type: CreateSourceInput, required: true, description: 'The integration.' }) },
    errors: mutationResult('CreateSourceResult', 'The source and its token, or why there is none.'),
    resolve: sources.createSource,
  }),
  updateSource: t.field({
    type: SourcePayload,
    description: 'Changes an integration.',
    args: { input: t.arg({ type: UpdateSourceInput, required: true, description: 'The changes.' }) },
    errors: mutationResult('UpdateSourceResult', 'The source, or why it is as it was.'),
    resolve: sources.updateSource,
  }),
  reportSourceProblem: t.field({
    type: SourcePayload,
    description: 'Lets an integration say that something is wrong with it, or that all is well again.',
    args: { input: t.arg({ type: ReportSourceProblemInput, required: true, description: 'What it says.' }) },
    errors: mutationResult('ReportSourceProblemResult', 'The source, or why it is as it was.'),
    resolve: sources.reportSourceProblem,
  }),
  deleteSource: t.field({
    type: DeleteSourcePayload,
    description: 'Removes an integration. What it posted stays; its token is of no use any more.',
    args: { input: t.arg({ type: DeleteSourceInput, required: true, description: 'Which one.' }) },
    errors: mutationResult('DeleteSourceResult', 'What was removed, or why it was not.'),
    resolve: sources.deleteSource,
  }),
}))
