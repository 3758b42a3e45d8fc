import type { Route } from '../route.ts'

/** An extension: the readiness for load balancers and for the gateway. */
export const healthRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/health/ready',
    auth: 'any',
    async handle(_request, { isWritable }) {
      const isReady = await isWritable()
      return { status: isReady ? 200 : 503, body: { status: isReady ? 'ready' : 'not ready' } }
    },
  },
]
