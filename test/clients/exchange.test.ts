import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { LiveClient, ResultSink } from '../../src/client/index.ts'
import { createLiveExchange } from '../../src/client/urql.ts'

const { Client, gql, subscriptionExchange } = await import(
  join(import.meta.dirname, 'node_modules/@urql/core/dist/urql-core.mjs')
)

/** Sends results through urql, and returns what an application receives. */
async function receive(send: (sink: ResultSink) => void): Promise<unknown[]> {
  const started = Promise.withResolvers<ResultSink>()
  const live = {
    subscribe(_, sink) {
      started.resolve(sink)
      return () => undefined
    },
  } satisfies Pick<LiveClient, 'subscribe'>
  const client = new Client({
    url: 'http://127.0.0.1',
    exchanges: [createLiveExchange(live as LiveClient, subscriptionExchange)],
  })
  const received: unknown[] = []
  client
    .subscription(gql('subscription { event { cursor } }'), {})
    .subscribe(({ data, error }: { data?: unknown; error?: Error }) => received.push([data, error?.message]))
  send(await started.promise)
  return received
}

const event = (cursor: string) => ({ event: { cursor } })

test('an event has its own errors, and not those of the event before', async () => {
  const errors = [{ message: 'failed' }]
  expect(
    await receive(({ next }) => {
      next({ data: event('1') })
      next({ data: event('2'), errors })
      next({ data: event('3') })
    }),
  ).toEqual([
    [event('1'), undefined],
    [event('2'), '[GraphQL] failed'],
    [event('3'), undefined],
  ])
})

test('a subscription that is refused has an error, and no data', async () => {
  expect(await receive(({ error }) => error([{ message: 'refused' }]))).toEqual([
    [undefined, '[GraphQL] refused'],
  ])
})
