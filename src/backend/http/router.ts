interface RoutePattern {
  readonly method: string
  /** Segments separated by slashes. A segment that begins with a colon matches any segment and names it. */
  readonly pattern: string
}

export interface Match<Route> {
  readonly route: Route
  /** The segments of the path, by their names in the pattern. */
  readonly path: Readonly<Record<string, string>>
}

export interface Router<Route> {
  /** The route of a request: the first one that matches. */
  find(method: string, pathname: string): Match<Route> | undefined
  /** The routes of a path with any method. */
  routesOf(pathname: string): readonly Route[]
}

interface Compiled<Route> {
  readonly route: Route
  readonly segments: readonly Segment[]
}

/** Matches one text, or any, which it names. */
type Segment = { readonly text: string } | { readonly name: string }

export function createRouter<Route extends RoutePattern>(routes: readonly Route[]): Router<Route> {
  const compiled = routes.map((route): Compiled<Route> => {
    const segments = route.pattern.split('/').slice(1)
    return {
      route,
      segments: segments.map((text) => (text.startsWith(':') ? { name: text.slice(1) } : { text })),
    }
  })
  const candidates = indexRoutes(compiled)

  return {
    find(method, pathname) {
      const wanted = method === 'PATCH' ? 'PUT' : method === 'HEAD' ? 'GET' : method
      const segments = normalizePath(pathname)
      if (segments === undefined) return undefined
      for (const { route, segments: pattern } of candidates(wanted, segments))
        if (isMatch(pattern, segments)) return { route, path: nameSegments(pattern, segments) }
      return undefined
    },
    routesOf(pathname) {
      const path = normalizePath(pathname)
      return compiled
        .filter(({ segments }) => path?.length === segments.length && isMatch(segments, path))
        .map(({ route }) => route)
    },
  }
}

/** Finds the routes that can match, in their order, by the method, the number of segments and the first segment. */
function indexRoutes<Route extends RoutePattern>(
  routes: readonly Compiled<Route>[],
): (method: string, segments: readonly string[]) => readonly Compiled<Route>[] {
  const firsts = new Set(routes.map(({ segments: [first] }) => textOf(first)))
  const index = new Map<string, Compiled<Route>[]>()
  for (const each of routes) {
    const { route, segments } = each
    const first = textOf(segments[0])
    for (const text of first === undefined ? [...firsts, undefined] : [first]) {
      const key = keyOf(route.method, segments.length, text)
      index.set(key, [...(index.get(key) ?? []), each])
    }
  }
  return (method, segments) =>
    index.get(keyOf(method, segments.length, segments[0])) ??
    index.get(keyOf(method, segments.length, undefined)) ??
    []
}

/** @param first undefined for a first segment that no pattern has as a text */
function keyOf(method: string, length: number, first: string | undefined): string {
  return first === undefined ? `${method} ${length}` : `${method} ${length} ${first}`
}

function textOf(segment: Segment | undefined): string | undefined {
  return segment !== undefined && 'text' in segment ? segment.text : undefined
}

/** The methods of routes, as the value of `Allow`. */
export function methodsOf(routes: readonly RoutePattern[]): string {
  const methods = new Set(routes.map(({ method }) => method))
  const served: readonly [by: string, method: string][] = [
    ['GET', 'GET'],
    ['GET', 'HEAD'],
    ['POST', 'POST'],
    ['PUT', 'PUT'],
    ['PUT', 'PATCH'],
    ['DELETE', 'DELETE'],
  ]
  return [...served.filter(([by]) => methods.has(by)).map(([, method]) => method), 'OPTIONS'].join(', ')
}

/**
 * The segments of a path, without a version prefix, `/rest`, doubled or trailing slashes and `.json`. Undefined when it cannot be
 * decoded.
 */
function normalizePath(pathname: string): string[] | undefined {
  const raw = pathname.split('/').filter((segment) => segment !== '')
  if (raw[0] === 'v1' || raw[0] === 'v2') raw.shift()
  // [flowdock] The web app had the API below /rest, and clients fetched files there.
  else if (raw[0] === 'rest') raw.shift()
  const last = raw.at(-1)
  if (last?.endsWith('.json') && raw[0] !== 'files') raw[raw.length - 1] = last.slice(0, -'.json'.length)
  if (!pathname.includes('%')) return raw
  try {
    return raw.map(decodeURIComponent)
  } catch {
    return undefined
  }
}

/** @param segments as many as the pattern has */
function isMatch(pattern: readonly Segment[], segments: readonly string[]): boolean {
  return pattern.every((segment, index) => !('text' in segment) || segment.text === segments[index])
}

function nameSegments(pattern: readonly Segment[], segments: readonly string[]): Record<string, string> {
  const path: Record<string, string> = {}
  for (let index = 0; index < pattern.length; index += 1) {
    const segment = pattern[index] as Segment
    if ('name' in segment) path[segment.name] = segments[index] as string
  }
  return path
}
