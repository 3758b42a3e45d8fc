import { objectKinds } from './model.ts'

const words = new Set<string>([
  ...objectKinds,
  'flow',
  'drop',
  'statistics',
  'aggregate',
  'simulate',
  'session',
])

/**
 * The route of a path, such as `/flowthings/drop/:id/:id`. There are few routes, so they can be labels of metrics.
 *
 * @param path below the URL of the API: the account comes first
 */
export function thingsRouteOf(path: string): string {
  const [, ...segments] = path.split('/').filter((segment) => segment !== '')
  const route = segments.slice(0, 4).map((segment, index) => {
    return words.has(segment) && (index !== 1 || segment === 'simulate') ? segment : ':id'
  })
  return `/flowthings/${route.join('/')}`
}
