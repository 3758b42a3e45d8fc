import * as resource from '../resolvers/resource.ts'
import { builder } from './builder.ts'

builder.queryField('resource', (t) =>
  t.field({
    type: builder.nodeInterfaceRef(),
    nullable: true,
    calls: { each: 22 },
    description:
      'The object that a Flowdock URL names, of the REST API or of a web page. Null when it does not exist or you cannot see it.',
    args: {
      url: t.arg.string({
        required: true,
        description:
          'The URL, such as `https://www.flowdock.com/app/example/main/threads/x6BAmK_UPxKvtOSj1egQiVUma0s`.',
      }),
    },
    resolve: resource.resource,
  }),
)
