/** Words that addresses of the REST API are made of. Everything else in them is a name or a number. */
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
    'search',
    'sources',
    'stream',
  ],
  ...['threads', 'typing', 'user', 'users'],
])

/**
 * What kind of call an address is of, such as `/flows/:org/:flow/messages/:id`: there are few, whatever is asked for.
 *
 * @param path of an address, below that of the API, without its query
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
