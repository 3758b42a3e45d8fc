import { describe, expect, test } from 'vitest'
import { flowdockRoutes } from '../../../src/backend/flowdock/routes/index.ts'
import { createRouter } from '../../../src/backend/http/router.ts'
import { createRandom } from '../../support/query-generator.ts'

const routes = [
  '/',
  '/flows',
  '/flows/all',
  '/flows/:org',
  '/:any/all',
  '/flows/:org/:flow',
  '/files/:name',
].map((pattern) => ({ method: 'GET', pattern }))
const router = createRouter([...routes, { method: 'PUT', pattern: '/flows/:org' }])
const find = (method: string, path: string) => {
  const match = router.find(method, path)
  return match && [match.route.method, match.route.pattern, match.path]
}

test.each([
  ['GET', '/flows', ['GET', '/flows', {}]],
  ['GET', '/flows/', ['GET', '/flows', {}]],
  ['GET', '//flows', ['GET', '/flows', {}]],
  ['GET', '/v1/flows.json', ['GET', '/flows', {}]],
  ['GET', '/rest/flows', ['GET', '/flows', {}]],
  ['GET', '/flows/all', ['GET', '/flows/all', {}]],
  ['GET', '/flows/a%2Fb', ['GET', '/flows/:org', { org: 'a/b' }]],
  ['GET', '/fl%6Fws/acme', ['GET', '/flows/:org', { org: 'acme' }]],
  ['GET', '/users/all', ['GET', '/:any/all', { any: 'users' }]],
  ['GET', '/flows/acme/main', ['GET', '/flows/:org/:flow', { org: 'acme', flow: 'main' }]],
  ['GET', '/files/a.json', ['GET', '/files/:name', { name: 'a.json' }]],
  ['HEAD', '/flows', ['GET', '/flows', {}]],
  ['PATCH', '/flows/acme', ['PUT', '/flows/:org', { org: 'acme' }]],
  ['DELETE', '/flows', undefined],
  ['GET', '/flows/acme/main/users', undefined],
  ['GET', '/users', undefined],
  ['GET', '/flows/%E0%A4', undefined],
])('%s %s', (method, path, found) => {
  expect(find(method, path)).toEqual(found)
})

test('the routes of a path are those of all methods', () => {
  expect(router.routesOf('/flows/acme').map(({ method }) => method)).toEqual(['GET', 'PUT'])
  expect(router.routesOf('/flows/%E0%A4')).toEqual([])
})

describe('of the routes of the backend the first one that matches is found', () => {
  const all = createRouter(flowdockRoutes)
  const first = (method: string, segments: readonly string[]) =>
    flowdockRoutes.find((route) => {
      const pattern = route.pattern.split('/').slice(1)
      return (
        route.method === method &&
        pattern.length === segments.length &&
        pattern.every((text, index) => text.startsWith(':') || text === segments[index])
      )
    })

  test('on random paths of the words of their patterns', () => {
    const random = createRandom(7)
    const words = [...new Set(flowdockRoutes.flatMap(({ pattern }) => pattern.split('/').slice(1)))]
    const pick = () => words[Math.floor(random() * words.length)]?.replace(':', '') ?? ''
    for (let count = 0; count < 20_000; count += 1) {
      const { pattern, method } = flowdockRoutes[count % flowdockRoutes.length] as (typeof flowdockRoutes)[0]
      const segments = pattern
        .split('/')
        .slice(1)
        .map((segment) => (segment.startsWith(':') || random() < 0.2 ? pick() : segment))
      expect(all.find(method, `/${segments.join('/')}`)?.route).toBe(first(method, segments))
    }
  })
})
