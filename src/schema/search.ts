import * as search from '../resolvers/message-search.ts'
import { builder } from './builder.ts'

const TagMode = builder.enumType('TagMode', {
  description: 'Which tags have to be there.',
  values: {
    ALL: { value: 'all', description: 'Every one.' },
    ANY: { value: 'any', description: 'One of them.' },
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
        'Searches every flow you have joined: whole words, in either case, or tags, or both united. The matches are merged by time, oldest first. Cursors count from the newest match: `last: 30` by default, and `before` to go back. `first` begins at the oldest of the newest 100 matches, and `after` goes on from there.',
      args: {
        text: t.arg.string({ description: 'Words that are all in the message.' }),
        tags: t.arg.stringList({ description: 'Tags: `release`, `@Ada`, `:url`, `:file`.' }),
        tagMode: t.arg({
          type: TagMode,
          required: true,
          defaultValue: 'all',
          description: 'Which of the tags have to be there.',
        }),
      },
      resolve: search.search,
    },
    {
      name: 'SearchConnection',
      fields: (f) => ({
        isExhaustive: f.boolean({
          description:
            'Whether every match can be reached. The newest 100 can; without the capability `SEARCH` it is those of each of the 20 flows that somebody wrote to last.',
          resolve: (connection) => (connection as { isExhaustive?: boolean }).isExhaustive === true,
        }),
      }),
    },
    { name: 'SearchEdge' },
  ),
)
