import type { Route } from '../route.ts'

/** Not of Flowdock: what a load balancer, or the gateway in front, asks. */
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
