/** The words in paths of the REST API. All other segments are names or ids. */
const words = new Set([
  ...[
    'activity',
    'all',
    'avatar',
    'capabilities',
    'comments',
    'emoji_reaction',
    'file',
    'files',
    'find',
    'flows',
    'health',
    'import',
  ],
  ...[
    'invitations',
    'messages',
    'organizations',
    'presence',
    'private',
    'read',
    'ready',
    'rules',
    'search',
    'sources',
    'stream',
  ],
  ...['threads', 'typing', 'user', 'users'],
])

/**
 * The route of a path, such as `/flows/:org/:flow/messages/:id`. There are few routes, so they can be labels of metrics.
 *
 * @param path below the URL of the API, without a query
 */
export function routeOf(path: string): string {
  const segments = path.split('/').filter((segment) => segment !== '')
  const isFlow = segments[0] === 'flows' && segments.length > 1 && !words.has(segments[1] ?? '')
  const route = segments.slice(0, 7).map((segment, index) => {
    if (isFlow && index === 1) return ':org'
    if (isFlow && index === 2) return ':flow'
    return words.has(segment) ? segment : ':id'
  })
  return `/${route.join('/')}`
}
