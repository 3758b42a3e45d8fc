import { MapperKind, mapSchema } from '@graphql-tools/utils'
import type { GraphQLResolveInfo, GraphQLSchema } from 'graphql'
import type { Context } from '../context.ts'

/** The same schema, whose fields appear in the trace of the operation they are resolved for. */
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

/** The names on the way to a field, without places in lists. */
function namesOf({ path }: GraphQLResolveInfo): string[] {
  const names: string[] = []
  for (let at: GraphQLResolveInfo['path'] | undefined = path; at !== undefined; at = at.prev)
    if (typeof at.key === 'string') names.unshift(at.key)
  return names
}
