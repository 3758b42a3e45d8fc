import { type GraphQLSchema, isInterfaceType, isObjectType } from 'graphql'

/**
 * What is the same for everybody who may see it at all: fields whose answer does not depend on who asks. Live queries of
 * such fields alone are executed once for all who listen to the same. Types of messages have all theirs, but for these.
 */
const ofTheReader = ['conversation']
/** Those that depend on who asks only by questions to `Context.viewer`. */
const askingFields = ['viewerCanEdit', 'viewerCanDelete']

const sharedFields: Readonly<Record<string, readonly string[]>> = {
  FlowEvent: ['cursor', 'occurredAt', 'flow'],
  MessageAdded: ['message'],
  MessageEdited: ['messageId', 'content', 'editedMessage', 'editor'],
  MessageDeleted: ['messageId', 'remover'],
  TagsChanged: ['messageId', 'added', 'removed', 'taggedMessage', 'tagger'],
  ReactionChanged: ['messageId', 'emoji', 'isAdded', 'reactedMessage', 'reactor'],
  MessageMoved: ['messageId', 'movedMessage', 'thread', 'mover'],
  MemberJoined: ['user'],
  ThreadChanged: ['thread', 'threadMessage'],
  UserEdited: ['user'],
  UserTyping: ['user', 'thread'],
  UserActive: ['user', 'lastActivityAt'],
  UnknownEvent: ['event', 'raw'],
  Gap: ['after', 'reason', 'from', 'to', 'fidelity'],
  StreamStatus: ['state', 'retryWithinMs'],
  Reaction: ['emoji', 'count'],
  File: ['name', 'contentType', 'byteSize', 'width', 'height', 'contentId', 'path'],
  Mention: ['user', 'group'],
  MailAddress: ['name', 'address'],
  Commit: ['id', 'message', 'authorName', 'url'],
  Author: ['name', 'avatarUrl'],
  User: ['id', 'databaseId', 'nick', 'email', 'websiteUrl', 'url'],
  ExternalAuthor: ['email'],
  Thread: [
    ...[
      'id',
      'databaseId',
      'title',
      'body',
      'externalUrl',
      'status',
      'fields',
      'source',
      'flow',
      'url',
      'webUrl',
    ],
    ...['activityCount', 'internalCommentCount', 'externalCommentCount', 'createdAt', 'updatedAt'],
  ],
  ThreadStatus: ['color', 'value'],
  ThreadField: ['label', 'value'],
  Source: ['id', 'databaseId', 'name', 'url', 'externalUrl', 'application'],
  SourceApplication: ['databaseId', 'name', 'iconUrl', 'url'],
  Flow: ['id', 'databaseId', 'name', 'slug', 'path', 'description', 'url', 'webUrl'],
}

/** Marks those fields with the extension `isShared`. @throws when one is not there */
export function markSharedFields(schema: GraphQLSchema): GraphQLSchema {
  for (const [typeName, names] of Object.entries(sharedFields)) {
    const type = schema.getType(typeName)
    if (!isObjectType(type) && !isInterfaceType(type)) throw new Error(`There is no type ${typeName}`)
    const types = isInterfaceType(type) ? [type, ...schema.getPossibleTypes(type)] : [type]
    for (const each of types) for (const name of names) mark(each, name)
  }
  const message = schema.getType('Message')
  if (!isInterfaceType(message)) throw new Error('There is no interface Message')
  for (const type of [message, ...schema.getPossibleTypes(message)])
    for (const name of Object.keys(type.getFields())) if (!ofTheReader.includes(name)) mark(type, name)
  return schema
}

function mark(
  type: { name: string; getFields(): Record<string, { extensions: object }> },
  name: string,
): void {
  const field = type.getFields()[name]
  if (field === undefined) throw new Error(`There is no field ${type.name}.${name}`)
  const asksViewer = askingFields.includes(name)
  field.extensions = { ...field.extensions, isShared: true, ...(asksViewer ? { asksViewer } : {}) }
}
