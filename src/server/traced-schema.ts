import { MapperKind, mapSchema } from '@graphql-tools/utils'
import type { GraphQLResolveInfo, GraphQLSchema } from 'graphql'
import type { Context } from '../context.ts'

/** The same schema, whose resolvers add spans to the trace of their operation. */
export function traceFields(schema: GraphQLSchema): GraphQLSchema {
  return mapSchema(schema, {
    [MapperKind.OBJECT_FIELD](config, fieldName, typeName) {
      const { resolve } = config
      if (resolve === undefined) return config
      const name = `${typeName}.${fieldName}`
      return {
        ...config,
        resolve(source, args, context: Context, info) {
          const { trace } = context
          if (trace === undefined) return resolve(source, args, context, info)
          return trace.field(namesOf(info), name, () => resolve(source, args, context, info))
        },
      }
    },
  })
}

/** The names on the path of a field, without the indexes of lists. */
function namesOf({ path }: GraphQLResolveInfo): string[] {
  const names: string[] = []
  for (let at: GraphQLResolveInfo['path'] | undefined = path; at !== undefined; at = at.prev)
    if (typeof at.key === 'string') names.unshift(at.key)
  return names
}
