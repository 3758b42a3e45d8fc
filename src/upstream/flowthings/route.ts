import type { ThingsUpstream } from './calls.ts'
import { objectKinds } from './model.ts'

const words = new Set<string>([
  ...objectKinds,
  'flow',
  'drop',
  'permit',
  'statistics',
  'aggregate',
  'simulate',
])

/**
 * The route of a call, such as `/flowthings/drop/:id/:id`. There are few routes, so they can be labels of metrics.
 *
 * @param url below one of the URLs of the upstream
 */
export function thingsRouteOf({ restUrl, sessionUrl }: ThingsUpstream, url: string): string {
  const [address = ''] = url.split('?', 1)
  if (address === `${sessionUrl}/session`) return '/flowthings/session'
  const [, ...segments] = address
    .slice(restUrl.length)
    .split('/')
    .filter((segment) => segment !== '')
  const route = segments.slice(0, 4).map((segment, index) => {
    return words.has(segment) && (index !== 1 || segment === 'simulate') ? segment : ':id'
  })
  return `/flowthings/${route.join('/')}`
}
