import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core'
import ErrorsPlugin from '@pothos/plugin-errors'
import RelayPlugin from '@pothos/plugin-relay'
import {
  type FieldNode,
  type GraphQLFieldResolver,
  type GraphQLResolveInfo,
  getArgumentValues,
  getNamedType,
  isObjectType,
  Kind,
  type SelectionSetNode,
} from 'graphql'
import type { Context } from '../context.ts'
import { GatewayError, type UpstreamError } from '../errors.ts'
import type { FlowBy } from '../resolvers/flows.ts'
import { decodeGlobalId, encodeGlobalId } from '../resolvers/global-id.ts'
import { blamedInput } from '../resolvers/input-path.ts'
import type { LiveEvent, ThreadEvent } from '../resolvers/live-event.ts'
import type { LiveMessageFilter } from '../resolvers/message-filter.ts'
import { node } from '../resolvers/node.ts'
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
import { fieldTraitsPlugin } from './field-traits.ts'

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
    UserError: GatewayError
  }
  Objects: { [Kind in MessageKind]: MessageOf<Kind> } & {
    [Kind in FlowChange['kind']]: ChangeEvent<Kind>
  } & ThingsTypes & {
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

/**
 * Completes the result of every mutation: the payload has the `clientMutationId` of the input, and a failure has the path of
 * the input that caused it.
 */
class MutationsPlugin<T extends SchemaTypes> extends BasePlugin<T> {
  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, T['Context'], object>,
    { kind }: PothosOutputFieldConfig<T>,
  ): GraphQLFieldResolver<unknown, T['Context'], object> {
    if (kind !== 'Mutation') return resolve
    return async (source, args, context, info) => {
      const { input } = args as { input: Readonly<Record<string, unknown>> }
      try {
        const payload = (await resolve(source, args, context, info)) as object
        const { clientMutationId } = input
        return clientMutationId == null ? payload : Object.assign(payload, { clientMutationId })
      } catch (error) {
        const path = error instanceof GatewayError ? blamedInput(error, input) : undefined
        throw error instanceof GatewayError && path !== undefined ? error.at(path) : error
      }
    }
  }
}

const mutationsPlugin = 'mutations'

declare global {
  namespace PothosSchemaTypes {
    interface Plugins<Types extends SchemaTypes> {
      [mutationsPlugin]: MutationsPlugin<Types>
    }
  }
}

SchemaBuilder.registerPlugin(mutationsPlugin, MutationsPlugin)

/** Each schema file adds its types to this builder. Files name types of other files by string. */
export const builder = new SchemaBuilder<Types>({
  // The first plugin is the outermost: it turns errors that the others throw into results.
  plugins: [ErrorsPlugin, RelayPlugin, mutationsPlugin, fieldTraitsPlugin],
  defaultFieldNullability: false,
  relay: {
    cursorType: 'String',
    encodeGlobalID: (typename, id) => encodeGlobalId(typename, String(id)),
    decodeGlobalID: (id) => decodeGlobalId(id),
    nodesOnConnection: { description: 'The items of this page.' },
    nodeTypeOptions: { description: 'An object that `node` reads by its global id.' },
    idFieldOptions: { description: 'The global id: unique among all objects of this API. Do not parse it.' },
    nodeQueryOptions: {
      calls: { each: 3 },
      description:
        'Reads one object by its global id. Null when the object does not exist or you cannot see it.',
      args: { id: { description: 'The global id of an object.' } },
      resolve: (_, args, context) => node(args.id, context),
    },
    // The plugin's own field fails as a whole for one malformed id: `nodes.ts` has ours.
    nodesQueryOptions: false,
    pageInfoTypeOptions: { description: 'The position of a page in its list.' },
    hasNextPageFieldOptions: { description: 'Whether the list has items after this page.' },
    hasPreviousPageFieldOptions: { description: 'Whether the list has items before this page.' },
    startCursorFieldOptions: {
      description:
        'The cursor of the first item. Pass it as `before` to read the previous page. Null when the page is empty.',
    },
    endCursorFieldOptions: {
      description:
        'The cursor of the last item. Pass it as `after` to read the next page. Null when the page is empty.',
    },
    cursorFieldOptions: {
      description: 'The position of the item in the list, for `after` and `before`. Do not parse it.',
    },
    nodeFieldOptions: { description: 'The item.' },
    edgesFieldOptions: { description: 'The items of this page, each with its cursor.' },
    pageInfoFieldOptions: { description: 'The cursors of this page, and whether other pages exist.' },
    firstArgOptions: {
      description:
        'The number of items to read from the start of the list, 1 to 100. Not together with `last`.',
    },
    lastArgOptions: {
      description:
        'The number of items to read from the end of the list, 1 to 100. Not together with `first`.',
    },
    afterArgOptions: { description: 'Read only items after this cursor.' },
    beforeArgOptions: { description: 'Read only items before this cursor.' },
    defaultConnectionTypeOptions: { description: 'One page of a list.' },
    defaultEdgeTypeOptions: { description: 'An item and its cursor.' },
  },
})

export type OurTypes = PothosSchemaTypes.ExtendDefaultTypes<Types>
export type InputFields = PothosSchemaTypes.InputFieldBuilder<OurTypes, 'InputObject'>

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

/** Whether a field of this name may be selected of the result, also one with a directive. */
export function maySelect({ fieldNodes, fragments }: GraphQLResolveInfo, name: string): boolean {
  const visited = new Set<string>()
  const isIn = (set: SelectionSetNode | undefined): boolean =>
    set?.selections.some((selection) => {
      if (selection.kind === Kind.FIELD) return selection.name.value === name
      if (selection.kind === Kind.INLINE_FRAGMENT) return isIn(selection.selectionSet)
      const { value } = selection.name
      if (visited.has(value)) return false
      visited.add(value)
      return isIn(fragments[value]?.selectionSet)
    }) === true
  return fieldNodes.some(({ selectionSet }) => isIn(selectionSet))
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
