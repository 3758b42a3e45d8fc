import type { Fields, TypeParam } from './fields.ts'

/* Lists in pages. [spec] Relay, "GraphQL Cursor Connections Specification" */

interface Connection {
  readonly edges: readonly { readonly node: unknown }[]
  readonly pageInfo: unknown
}

type PageInfo = Readonly<Record<string, unknown>>

/** `hasNextPage` may need a call. Compiled operations only wait for values that resolvers return, so it has one. */
export const pageInfoFields: Fields = {
  hasNextPage: {
    type: 'Boolean',
    description: 'Whether the list has items after this page.',
    resolve: (pageInfo) => (pageInfo as PageInfo)['hasNextPage'],
  },
  hasPreviousPage: {
    type: 'Boolean',
    description: 'Whether the list has items before this page.',
    resolve: (pageInfo) => (pageInfo as PageInfo)['hasPreviousPage'],
  },
  startCursor: {
    type: 'String',
    nullable: true,
    description:
      'The cursor of the first item. Pass it as `before` to read the previous page. Null when the page is empty.',
    resolve: (pageInfo) => (pageInfo as PageInfo)['startCursor'],
  },
  endCursor: {
    type: 'String',
    nullable: true,
    description:
      'The cursor of the last item. Pass it as `after` to read the next page. Null when the page is empty.',
    resolve: (pageInfo) => (pageInfo as PageInfo)['endCursor'],
  },
}

/** @param node the type of the items */
export function connectionFields(node: TypeParam, edge: TypeParam): Fields {
  return {
    pageInfo: {
      type: 'PageInfo',
      description: 'The cursors of this page, and whether other pages exist.',
      resolve: (connection) => (connection as Connection).pageInfo,
    },
    edges: {
      type: [edge],
      description: 'The items of this page, each with its cursor.',
      resolve: (connection) => (connection as Connection).edges,
    },
    nodes: {
      type: [node],
      description: 'The items of this page.',
      resolve: (connection) => (connection as Connection).edges.map((each) => each.node),
    },
  }
}

export function edgeFields(node: TypeParam): Fields {
  return {
    node: {
      type: node,
      description: 'The item.',
      resolve: (edge) => (edge as Connection['edges'][number]).node,
    },
    cursor: {
      type: 'String',
      property: 'cursor',
      description: 'The position of the item in the list, for `after` and `before`. Do not parse it.',
    },
  }
}
