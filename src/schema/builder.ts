import type {} from '@pothos/core'
import type {} from '@pothos/plugin-relay'
import {
  type FieldNode,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getArgumentValues,
  getNamedType,
  isObjectType,
  Kind,
  type SelectionSetNode,
} from 'graphql'
import type { Context } from '../context.ts'
import type { UpstreamError, ValidationError } from '../errors.ts'
import type { Failure, FailureType } from '../resolvers/failure.ts'
import type { FlowBy } from '../resolvers/flows.ts'
import type { LiveEvent, ThreadEvent } from '../resolvers/live-event.ts'
import type { LiveMessageFilter } from '../resolvers/message-filter.ts'
import type { ThingsFlowBy } from '../resolvers/things-ids.ts'
import type { ThingsOrder } from '../resolvers/things-pages.ts'
import type { Attached } from '../resolvers/uploads.ts'
import type {
  AccessMode,
  DropRule,
  ExternalAuthor,
  File,
  Flow,
  FlowChange,
  FlowEvent,
  FlowUser,
  Invitation,
  Message,
  MessageKind,
  Organization,
  OrganizationUser,
  PrivateConversation,
  Rule,
  Source,
  TagRule,
  Thread,
  ThreadAction,
  User,
} from '../upstream/flowdock/model.ts'
import type { DropEvent } from '../upstream/flowthings/drop-events.ts'
import type { ThingsFilter } from '../upstream/flowthings/filter-text.ts'
import type {
  Drop,
  DropElement,
  ElementValue,
  ThingsFlow,
  ThingsLocation,
  ThingsObject,
} from '../upstream/flowthings/model.ts'
import { createSchemaBuilder } from './schema-builder.ts'

type MessageOf<Kind extends MessageKind> = Extract<Message, { kind: Kind }>
type MessageEvent = Extract<FlowEvent, { type: 'message' }>
type ChangeEvent<Kind extends FlowChange['kind']> = Extract<FlowEvent, { type: 'change' }> & {
  readonly change: Extract<FlowChange, { kind: Kind }>
}

type ValueOf<Kind extends ElementValue['kind']> = Extract<ElementValue, { kind: Kind }>

/** The models of the types of flowthings. */
interface ThingsTypes {
  ThingsFlow: ThingsFlow
  Drop: Drop
  DropElement: DropElement
  ThingsLocation: ThingsLocation
  TextElement: ValueOf<'text'>
  NumberElement: ValueOf<'number'>
  BooleanElement: ValueOf<'boolean'>
  TimeElement: ValueOf<'time'>
  LocationElement: ValueOf<'location'>
  QuantityElement: ValueOf<'quantity'>
  DropReferenceElement: ValueOf<'drop'>
  ListElement: ValueOf<'list'>
  MapElement: ValueOf<'map'>
  OtherElement: ValueOf<'other'>
  DropAdded: Extract<DropEvent, { type: 'drop' }>
  DropGap: Extract<DropEvent, { type: 'dropGap' }>
  Track: ThingsObject
  ThingsGroup: ThingsObject
  ThingsIdentity: ThingsObject
  ThingsToken: ThingsObject
  ThingsShare: ThingsObject
  ThingsDevice: ThingsObject
  ThingsTask: ThingsObject
}

/** The model of each type of the schema. */
export interface Types {
  Context: Context
  Scalars: {
    ID: { Input: string; Output: string | number }
    /** Milliseconds since the epoch in code, ISO 8601 in requests and responses. */
    DateTime: { Input: number; Output: number }
    JSON: { Input: NonNullable<unknown> | null; Output: unknown }
    Upload: { Input: Attached; Output: never }
  }
  Interfaces: {
    Author: User | ExternalAuthor
    Message: Message
    FlowEvent: LiveEvent
    ElementValue: ElementValue
    DropEvent: DropEvent
    Rule: Rule
    UserError: Failure
  }
  Objects: { [Kind in MessageKind]: MessageOf<Kind> } & {
    [Kind in FlowChange['kind']]: ChangeEvent<Kind>
  } & { [Name in FailureType]: Failure } & ThingsTypes & {
      ValidationFailed: Failure<ValidationError>
      ExternalAuthor: ExternalAuthor
      File: File
      Flow: Flow
      FlowUser: FlowUser
      Invitation: Invitation
      MessageAdded: MessageEvent
      MessageDeleted: MessageEvent
      MessageEdited: MessageEvent
      Organization: Organization
      OrganizationUser: OrganizationUser
      PrivateConversation: PrivateConversation
      DropRule: DropRule
      TagRule: TagRule
      PresenceChanged: Extract<FlowEvent, { type: 'presence' }>
      ThreadChanged: ThreadEvent
      FlowAdded: Extract<FlowEvent, { type: 'membership' }>
      FlowRemoved: Extract<FlowEvent, { type: 'membership' }>
      Gap: Extract<FlowEvent, { type: 'gap' }>
      StreamStatus: Extract<FlowEvent, { type: 'status' }>
      UnknownEvent: Extract<FlowEvent, { type: 'other' }>
      Source: Source
      SourceApplication: Source['application']
      TagsChanged: MessageEvent
      Thread: Thread
      Thumbnail: Exclude<File['thumbnail'], null | UpstreamError>
      ThreadField: Thread['fields'][number]
      ViewAction: Extract<ThreadAction, { kind: 'ViewAction' }>
      UpdateAction: Extract<ThreadAction, { kind: 'UpdateAction' }>
      Reaction: Message['reactions'][number]
      ThreadStatus: Exclude<Thread['status'], null | UpstreamError>
      User: User
    }
  Inputs: {
    FlowBy: FlowBy
    FlowAccess: AccessMode
    TagMode: 'all' | 'any'
    LiveMessageFilter: LiveMessageFilter
    ThingsFilter: ThingsFilter
    ThingsFlowBy: ThingsFlowBy
    ThingsOrder: ThingsOrder
    ThingsTaskKind: 'api-task' | 'mqtt' | 'rss'
    ThreadStatusInput: { color: string; value: string }
    ThreadFieldInput: { label: string; value: string }
  }
  DefaultFieldNullability: false
  Connection: object
}

export type OurTypes = PothosSchemaTypes.ExtendDefaultTypes<Types>
export type InputFields = PothosSchemaTypes.InputFieldBuilder<OurTypes, 'InputObject'>

const runtime = createSchemaBuilder()

/**
 * Each schema file adds its types to this builder. Files name types of other files by string. Pothos checks the types of what is
 * declared, and is not loaded.
 */
export const builder = runtime as unknown as Pick<
  PothosSchemaTypes.SchemaBuilder<OurTypes>,
  Exclude<keyof typeof runtime, 'toSchema'>
>

/** The schema of all types that were declared. */
export const toSchema: () => GraphQLSchema = runtime.toSchema

/** The options of a field that can be null. */
export function nullable(description: string) {
  return { nullable: true as const, description }
}

/** A selection of a field below another field. */
export interface SelectedField {
  readonly args: object
  /** Whether it selects a field at a path below it, such as `nodes`, `author`. */
  selects(...path: string[]): boolean
}

/**
 * The selections of a field below another field. Those with a directive or invalid arguments are left out.
 *
 * @param name the name of the field
 */
export function selectedFields(info: GraphQLResolveInfo, name: string): SelectedField[] {
  const type = getNamedType(info.returnType)
  const definition = isObjectType(type) ? type.getFields()[name] : undefined
  if (definition === undefined) return []
  const nodes = info.fieldNodes.flatMap(({ selectionSet }) => fieldsOf(selectionSet, name, info))
  return nodes.flatMap((node) => {
    try {
      const args = getArgumentValues(definition, node, info.variableValues)
      return [{ args, selects: (...path) => selectsPath(node, path, info) }]
    } catch {
      return []
    }
  })
}

function selectsPath(node: FieldNode, [name, ...rest]: readonly string[], info: GraphQLResolveInfo): boolean {
  if (name === undefined) return true
  return fieldsOf(node.selectionSet, name, info).some((field) => selectsPath(field, rest, info))
}

/** The fields of a name in a selection set and its fragments, without those with a directive. */
function fieldsOf(set: SelectionSetNode | undefined, name: string, info: GraphQLResolveInfo): FieldNode[] {
  const nodes: FieldNode[] = []
  for (const selection of set?.selections ?? []) {
    if ((selection.directives?.length ?? 0) > 0) continue
    if (selection.kind !== Kind.FIELD) {
      const { selectionSet } =
        selection.kind === Kind.INLINE_FRAGMENT ? selection : (info.fragments[selection.name.value] ?? {})
      nodes.push(...fieldsOf(selectionSet, name, info))
    } else if (selection.name.value === name) nodes.push(selection)
  }
  return nodes
}
