import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { isPostgresThere } from './test/support/database.ts'
import { isBrokerThere } from './test/support/mosquitto.ts'
import { isNatsThere } from './test/support/nats.ts'

// Test workers, and the programs that they start, compile each file once for all runs.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/compiled')

const shared = {
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // What is waited for ends the wait; this is for busy machines.
  expect: { poll: { timeout: 45_000 } },
}

const isCi = process.env['CI'] === 'true'
/** Tests with a broker of MQTT. Where none is to be had, CI fails. */
const withBroker = 'test/**/mqtt*.test.ts'
const left = isCi || (await isBrokerThere()) ? [] : [withBroker]

/** What is promised of the backend is promised on PostgreSQL, too. Where none is to be had, CI fails. */
const onPostgres = {
  extends: true as const,
  test: {
    ...shared,
    name: 'postgres',
    include: ['test/backend', 'test/contract/flowdock', 'test/contract/flowthings', 'test/postgres'].map(
      (folder) => `${folder}/**/*.test.ts`,
    ),
    exclude: [
      ...['full-disk', 'locked-database', 'migrations', 'flowthings/shared-file'].map(
        (name) => `test/backend/${name}.test.ts`,
      ),
      // These have data folders of their own.
      ...['mqtt-failures', 'mqtt-kill'].map((name) => `test/backend/flowthings/tasks/${name}.test.ts`),
      ...left,
    ],
    env: { TEST_DATABASE: 'postgres' },
  },
}

/** Several backends on one database. Where PostgreSQL and NATS are not to be had, CI fails. */
const machines = {
  extends: true as const,
  test: {
    ...shared,
    name: 'machines',
    include: ['test/machines/**/*.test.ts'],
    exclude: left,
    env: { TEST_DATABASE: 'postgres' },
  },
}

/** What is promised of subscriptions is promised over a service stream and a message port, too. */
const overServiceStream = {
  extends: true as const,
  test: {
    ...shared,
    name: 'service stream',
    include: [
      ...['deletions', 'live-transports', 'response-cache', 'resume', 'shared-results', 'slow-readers'].map(
        (name) => `gateway/${name}`,
      ),
      ...['gateway/stream-tickets', 'gateway/subscriptions', 'e2e/churn', 'e2e/isolation', 'e2e/resume'],
      ...['connections', 'identity', 'membership', 'rights'].map((name) => `hardening/${name}`),
    ].map((name) => `test/${name}.test.ts`),
    env: { TEST_HUB: 'stream', TEST_CALLS: 'port' },
  },
}

/** What is promised of queries and mutations is promised with calls over a message port, too. */
const overMessagePort = {
  extends: true as const,
  test: {
    ...shared,
    name: 'message port',
    include: [
      'equal-bodies',
      'mutations',
      'paging',
      'partial-answers',
      'queries',
      'rate-limit',
      'user-errors',
    ].map((name) => `test/gateway/${name}.test.ts`),
    env: { TEST_CALLS: 'port' },
  },
}

/** Clients of front ends. Their packages are installed first. */
const clients = {
  extends: true as const,
  test: {
    ...shared,
    name: 'clients',
    include: ['test/clients/*.test.ts'],
    globalSetup: 'test/clients/install.ts',
  },
}

export default defineConfig(async () => ({
  resolve: {
    // Bundlers take the package's other build; the types of one are unknown to the other.
    alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }],
  },
  test: {
    maxWorkers: 2,
    projects: [
      {
        extends: true as const,
        test: {
          ...shared,
          name: 'main',
          include: ['test/**/*.test.ts'],
          exclude: ['test/clients/**', 'test/machines/**', 'test/postgres/**', ...left],
        },
      },
      overServiceStream,
      overMessagePort,
      clients,
      ...(isCi || (await isPostgresThere()) ? [onPostgres] : []),
      ...(isCi || ((await isPostgresThere()) && (await isNatsThere())) ? [machines] : []),
    ],
  },
}))
