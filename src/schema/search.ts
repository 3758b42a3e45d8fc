import * as search from '../resolvers/search.ts'
import { builder } from './builder.ts'

const SearchResult = builder.objectRef<search.Found>('SearchResult').implement({
  description: 'What was found in your flows.',
  fields: (t) => ({
    messages: t.field({
      type: ['Message'],
      description: 'The newest matches, oldest first.',
      resolve: (found) => [...found.messages],
    }),
    isExhaustive: t.exposeBoolean('isExhaustive', {
      description:
        'Whether every flow was searched. Without the capability `SEARCH` only the 20 are that somebody wrote to last.',
    }),
  }),
})

const TagMode = builder.enumType('TagMode', {
  description: 'Which tags have to be there.',
  values: {
    ALL: { value: 'all', description: 'Every one.' },
    ANY: { value: 'any', description: 'One of them.' },
  } as const,
})

builder.queryField('search', (t) =>
  t.field({
    type: SearchResult,
    nullable: true,
    description: 'Searches every flow you have joined: whole words, in either case, or tags, or both united.',
    args: {
      text: t.arg.string({ description: 'Words that are all in the message.' }),
      tags: t.arg.stringList({ description: 'Tags: `release`, `@Ada`, `:url`, `:file`.' }),
      tagMode: t.arg({
        type: TagMode,
        required: true,
        defaultValue: 'all',
        description: 'Which of the tags have to be there.',
      }),
      last: t.arg.int({ required: true, defaultValue: 30, description: 'How many of the newest, 1 to 100.' }),
    },
    resolve: search.search,
  }),
)
