import * as search from '../resolvers/message-search.ts'
import { builder, maySelect } from './builder.ts'

const TagMode = builder.enumType('TagMode', {
  description: 'How many of several tags a message must have.',
  values: {
    ALL: { value: 'all', description: 'All tags.' },
    ANY: { value: 'any', description: 'At least one of the tags.' },
  } as const,
})

builder.queryField('search', (t) =>
  t.connection(
    {
      type: 'Message',
      nullable: true,
      calls: { each: 1, once: ['capabilities'] },
      listSize: 30,
      description:
        'Searches all flows that you have joined. Words match as whole words, ignoring case. With `text` and `tags`, messages match that have either. Matches are ordered by time, oldest first; `last: 30` by default. Only the newest 100 matches can be read: `first` starts at the oldest of them. Null when the search fails.',
      args: {
        text: t.arg.string({ description: 'The words that a message must contain, all of them.' }),
        tags: t.arg.stringList({
          description: 'The tags of the message, such as `release`, `@Ada`, `:url` or `:file`.',
        }),
        tagMode: t.arg({
          type: TagMode,
          required: true,
          defaultValue: 'all',
          description: 'Whether all tags must match.',
        }),
      },
      resolve: (root, args, context, info) =>
        search.search(root, args, context, () => maySelect(info, 'isExhaustive')),
    },
    {
      name: 'SearchConnection',
      fields: (f) => ({
        isExhaustive: f.boolean({
          description:
            'Whether every match can be read. At most the newest 100 can. Without the capability `SEARCH`, only the 20 flows with the newest messages are searched.',
          resolve: (connection) => (connection as { isExhaustive?: boolean }).isExhaustive === true,
        }),
      }),
    },
    { name: 'SearchEdge' },
  ),
)
