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

export function createRouter<Route extends RoutePattern>(routes: readonly Route[]): Router<Route> {
  const compiled = routes.map((route) => ({ route, segments: route.pattern.split('/').slice(1) }))

  function* match(pathname: string, method: string | undefined): Generator<Match<Route>> {
    const segments = normalizePath(pathname)
    if (segments === undefined) return
    for (const { route, segments: pattern } of compiled) {
      if ((method !== undefined && route.method !== method) || pattern.length !== segments.length) continue
      const path = matchSegments(pattern, segments)
      if (path !== undefined) yield { route, path }
    }
  }

  return {
    find(method, pathname) {
      const wanted = method === 'PATCH' ? 'PUT' : method === 'HEAD' ? 'GET' : method
      const [found] = match(pathname, wanted)
      return found
    },
    routesOf: (pathname) => [...match(pathname, undefined)].map(({ route }) => route),
  }
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
  try {
    return raw.map(decodeURIComponent)
  } catch {
    return undefined
  }
}

function matchSegments(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | undefined {
  const path: Record<string, string> = {}
  for (const [index, name] of pattern.entries()) {
    const segment = segments[index] as string
    if (name.startsWith(':')) path[name.slice(1)] = segment
    else if (name !== segment) return undefined
  }
  return path
}
