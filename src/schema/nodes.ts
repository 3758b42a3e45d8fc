import { nodes } from '../resolvers/node.ts'
import { builder } from './builder.ts'

builder.queryField('nodes', (t) =>
  t.field({
    type: [builder.nodeInterfaceRef()],
    nullable: { list: false, items: true },
    calls: { eachItem: 3 },
    listSize: { argument: 'ids' },
    description:
      'Reads several objects by their global ids, in the order of `ids`. An object that is gone or not visible to you is null. An id that is malformed is null, too, with an error whose path has its index.',
    args: {
      ids: t.arg.idList({
        required: true,
        description: 'The `id`s of any objects of this API, at most 100.',
      }),
    },
    resolve: (_, { ids }, context) => nodes(ids, context),
  }),
)
