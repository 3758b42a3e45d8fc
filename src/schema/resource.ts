import * as resource from '../resolvers/resource.ts'
import { builder } from './builder.ts'

builder.queryField('resource', (t) =>
  t.field({
    type: builder.nodeInterfaceRef(),
    nullable: true,
    calls: { each: 22 },
    description:
      'What an address of Flowdock’s names, of its REST API or of its web pages; null when it is gone or not for you to see.',
    args: {
      url: t.arg.string({
        required: true,
        description:
          'The address, such as `https://www.flowdock.com/app/example/main/threads/x6BAmK_UPxKvtOSj1egQiVUma0s`.',
      }),
    },
    resolve: resource.resource,
  }),
)
