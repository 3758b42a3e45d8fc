import type { CallEstimate, CallEstimates } from '../call-estimate.ts'

const person: CallEstimate = { once: ['users'] }
const flowOfId: CallEstimate = { batch: 'flows' }
const page: CallEstimate = { each: 1, withArgument: { name: 'filter', each: 10 }, isPage: true }

/**
 * Fields that are not here take none: messages, for one, bring their threads along. What changes something is asked once
 * and looks up a few things before.
 */
export const callEstimates: CallEstimates = {
  'Query.viewer': { once: ['viewer'] },
  'Query.organizations': { once: ['organizations'] },
  'Query.organization': { each: 1 },
  'Query.flows': { each: 1 },
  'Query.flow': flowOfId,
  'Query.node': { each: 3 },
  'Query.nodes': { eachItem: 3 },
  'Query.search': { each: 1, once: ['capabilities'] },
  'Query.privateConversations': { each: 1 },
  'Query.privateConversation': { each: 1 },
  'Query.sources': { once: ['sources'] },
  'Query.capabilities': { once: ['capabilities'] },
  'Query.resource': { each: 22 },
  'User.presence': { once: ['capabilities', 'presences'] },
  'Flow.users': { batch: 'flow users' },
  'Flow.messages': page,
  'Flow.message': { each: 1 },
  'Flow.threads': { each: 1, withArgument: { name: 'last', each: 10 }, isPage: true },
  'Flow.thread': { each: 1 },
  'Flow.sources': { batch: 'flow sources' },
  'Flow.invitations': { each: 1 },
  'Flow.files': { each: 10 },
  'Flow.links': { each: 10 },
  // The sources of its groups are those of the flow.
  'Flow.activity': { each: 1, once: ['capabilities'], batch: 'flow sources' },
  // One call for each flow that is counted.
  'Gap.missed': { once: ['flows', 'capabilities'], each: 20 },
  'ActivityGroup.author': person,
  'Message.author': person,
  'Message.flow': flowOfId,
  'Message.url': flowOfId,
  'Message.webUrl': flowOfId,
  'Message.viewerCanEdit': { once: ['viewer'] },
  'Message.viewerCanDelete': { once: ['viewer'] },
  'Mention.user': person,
  'Reaction.users': person,
  'Comment.parent': { each: 1 },
  'Thread.messages': page,
  'Thread.initialMessage': { each: 1 },
  'Thread.flow': flowOfId,
  'Thread.url': flowOfId,
  'Thread.webUrl': flowOfId,
  // Whose they are is asked once more by those who look there from a message.
  'PrivateConversation.messages': { each: 2, withArgument: { name: 'filter', each: 11 }, isPage: true },
  'Organization.users': { each: 1 },
  'Organization.subscription': { once: ['organizations'] },
  'Organization.viewerIsAdmin': { each: 1, once: ['viewer'] },
  'Source.flow': flowOfId,
  'Invitation.flow': flowOfId,
  'Mutation.*': { each: 4 },
}
