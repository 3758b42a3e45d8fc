import * as sharedMedia from '../resolvers/shared-media.ts'
import { builder } from './builder.ts'

const FileShare = builder.objectRef<sharedMedia.FileShare>('FileShare').implement({
  description: 'A file that was posted to a flow.',
  fields: (t) => ({
    file: t.field({ type: 'File', description: 'The file.', resolve: ({ file }) => file }),
    message: t.field({
      type: 'Message',
      description: 'The message with the file.',
      resolve: ({ message }) => message,
    }),
  }),
})

const LinkShare = builder.objectRef<sharedMedia.LinkShare>('LinkShare').implement({
  description: 'A message with links.',
  fields: (t) => ({
    urls: t.exposeStringList('urls', {
      description: 'The URLs in the message, each once. Empty when its only links are e-mail addresses.',
    }),
    message: t.field({ type: 'Message', description: 'The message.', resolve: ({ message }) => message }),
  }),
})

const isExhaustive = (connection: object) => (connection as { isExhaustive: boolean }).isExhaustive

builder.objectFields('Flow', (t) => ({
  files: t.connection(
    {
      type: FileShare,
      nullable: true,
      calls: { each: 10 },
      listSize: 30,
      description:
        'The files that were posted to the flow, oldest first; `last: 30` by default. Null when they cannot be read.',
      resolve: sharedMedia.flowFiles,
    },
    { name: 'FileShareConnection' },
    { name: 'FileShareEdge' },
  ),
  links: t.connection(
    {
      type: LinkShare,
      nullable: true,
      calls: { each: 10 },
      listSize: 30,
      description:
        'The messages of the flow that contain links, oldest first; `last: 30` by default. Null when they cannot be read.',
      resolve: sharedMedia.flowLinks,
    },
    {
      name: 'LinkShareConnection',
      fields: (f) => ({
        isExhaustive: f.boolean({
          description:
            'Whether this page is complete. A page is read from at most 1,000 messages; when that was not enough, its cursor continues after them.',
          resolve: isExhaustive,
        }),
      }),
    },
    { name: 'LinkShareEdge' },
  ),
}))
