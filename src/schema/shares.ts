import * as shares from '../resolvers/shared-media.ts'
import { builder } from './builder.ts'

const FileShare = builder.objectRef<shares.FileShare>('FileShare').implement({
  description: 'A file of a flow, and the message that brought it.',
  fields: (t) => ({
    file: t.field({ type: 'File', description: 'The file.', resolve: ({ file }) => file }),
    message: t.field({
      type: 'Message',
      description: 'The message that brought it.',
      resolve: ({ message }) => message,
    }),
  }),
})

const LinkShare = builder.objectRef<shares.LinkShare>('LinkShare').implement({
  description: 'The links of a message.',
  fields: (t) => ({
    urls: t.exposeStringList('urls', {
      description: 'The addresses in it, each once; none when it has only an e-mail address.',
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
      description: 'Its uploaded files, oldest first; `last: 30` unless said otherwise.',
      resolve: shares.flowFiles,
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
      description: 'Its messages that have links, oldest first; `last: 30` unless said otherwise.',
      resolve: shares.flowLinks,
    },
    {
      name: 'LinkShareConnection',
      fields: (f) => ({
        isExhaustive: f.boolean({
          description:
            'Whether every message that can be on this page was looked at: at most 1,000 are. The cursor goes on from there.',
          resolve: isExhaustive,
        }),
      }),
    },
    { name: 'LinkShareEdge' },
  ),
}))
