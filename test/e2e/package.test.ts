import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { post } from '../support/app.ts'
import { makeFolder } from '../support/backend.ts'
import { readDemoToken, root, run } from '../support/process.ts'

const execute = promisify(execFile)

test.each([
  ['installed elsewhere', []],
  ['installed without what is optional', ['--omit=optional']],
])(
  'the packed package, %s, starts the server',
  async (_, flags) => {
    const folder = await makeFolder()
    const { stdout } = await execute('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root })
    const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('[\n')))
    const names = files.map(({ path }: { path: string }) => path)
    expect(names).toContain('dist/backend/worker.js')
    expect(names).toContain('assets/graphiql/manifest.json')
    expect(names.filter((name: string) => /^(src|test|data)\//.test(name))).toEqual([])

    await execute(
      'npm',
      ['install', '--prefer-offline', '--no-audit', '--no-fund', ...flags, join(folder, filename)],
      {
        cwd: folder,
      },
    )
    const collector = createServer((_, reply) => reply.end()).listen(0, '127.0.0.1')
    onTestFinished(() => void collector.close())
    await once(collector, 'listening')
    const traces = once(collector, 'request')
    const gateway = run([join(folder, 'node_modules/.bin/flowdock-gateway')], {
      PORT: '0',
      BACKEND_PORT: '0',
      DATA_DIR: join(folder, 'data'),
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
    })
    const [, url = ''] = await gateway.until(/GraphQL +(http:\S+)\/graphql/)
    const token = await readDemoToken(join(folder, 'data'))
    expect(await post(url, { query: '{ viewer { nick } }' }, token)).toEqual({
      data: { viewer: { nick: 'Ada' } },
    })
    const page = await (await fetch(`${url}/graphql`, { headers: { accept: 'text/html' } })).text()
    const [, script = ''] = /src="([^"]+)"/.exec(page) ?? []
    expect((await fetch(url + script)).status).toBe(200)
    gateway.child.kill('SIGTERM')
    expect(await gateway.exited).toBe(0)
    const [request] = await traces
    expect(request.url).toBe('/v1/traces')
  },
  120_000,
)
