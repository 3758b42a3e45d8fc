import { execFile } from 'node:child_process'
import { readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { listSettings, readConfig } from '../src/config.ts'
import { makeFolder } from './support/backend.ts'
import {
  type Compose,
  deployFolder,
  type Manifest,
  readCompose,
  readManifests,
  readSecretNames,
} from './support/deployment.ts'
import { root, run } from './support/process.ts'

/* What `deploy/` has fits Kubernetes, Docker Compose and the settings of this version. */

const secret = 'a-secret-of-more-than-32-characters'
const settingNames = new Set(listSettings().map(({ name }) => name))
/** What a stop takes after the delay and the draining: requests in flight, and the backend. */
const stopSeconds = 10

/** @throws ConfigError, as the process would at its start */
function checkSettings(environment: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(environment))
    if (name !== 'POD_IP') expect(settingNames, name).toContain(name)
  readConfig(environment)
}

function stopsWithin(environment: Readonly<Record<string, string>>): number {
  const seconds = (name: string) => Number(environment[name] ?? 0)
  return seconds('SHUTDOWN_DELAY_SECONDS') + seconds('SHUTDOWN_DRAIN_SECONDS') + stopSeconds
}

describe('the manifests for Kubernetes', () => {
  let manifests: Manifest[]
  const named = (kind: string, name: string) =>
    manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name) as Manifest
  const deployments = () => manifests.filter(({ kind }) => kind === 'Deployment')

  beforeAll(async () => {
    manifests = (await readManifests()).filter(({ kind }) => kind !== 'Kustomization')
    expect(manifests.length).toBeGreaterThan(12)
  })

  test('are valid by the schemas of Kubernetes, which say what is required and of which type', async () => {
    for (const { file, ...manifest } of manifests) {
      const models = await import(/* @vite-ignore */ `kubernetes-models/${manifest.apiVersion}`)
      const model = new models[manifest.kind](manifest)
      expect(() => model.validate(), `${file}: ${manifest.kind} ${manifest.metadata.name}`).not.toThrow()
    }
    const { Deployment } = await import('kubernetes-models/apps/v1')
    const broken = { ...named('Deployment', 'gateway'), spec: { replicas: 'two' } }
    expect(() => new Deployment(broken as never).validate()).toThrow('must be integer')
  })

  test('have no field that Kubernetes does not know', async () => {
    const folder = await makeFolder()
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    const check = async (all: readonly object[]) => {
      const declared = (all as Manifest[]).map(
        ({ file: _, ...manifest }, index) =>
          `export const manifest${index}: import('kubernetes-models/${manifest.apiVersion}').I${manifest.kind} = ${JSON.stringify(manifest)}\n`,
      )
      await writeFile(join(folder, 'manifests.ts'), declared.join(''))
      const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'esnext']
      return promisify(execFile)(
        process.execPath,
        [join(root, 'node_modules/typescript/bin/tsc'), ...options, 'manifests.ts'],
        { cwd: folder },
      ).then(
        () => '',
        ({ stdout }: { stdout: string }) => stdout,
      )
    }
    expect(await check(manifests)).toBe('')
    const { spec } = named('Deployment', 'gateway')
    const [container] = spec.template.spec.containers
    const misspelt = { ...container, readynessProbe: container.readinessProbe }
    const template = { ...spec.template, spec: { ...spec.template.spec, containers: [misspelt] } }
    expect(await check([{ ...named('Deployment', 'gateway'), spec: { ...spec, template } }])).toContain(
      'readynessProbe',
    )
  })

  test('name each other as they are: labels, services, ports, secrets, the resources of kustomize', async () => {
    const kustomization = (await readManifests()).find(({ kind }) => kind === 'Kustomization')
    const files = new Set(manifests.map(({ file }) => file))
    files.delete('secret.example.yaml')
    expect([...files].sort()).toEqual([...(kustomization?.['resources'] ?? [])].sort())
    for (const { metadata, spec } of deployments()) {
      expect(spec.template.metadata.labels, metadata.name).toMatchObject(spec.selector.matchLabels)
      const service = named('Service', metadata.name)
      expect(spec.template.metadata.labels).toMatchObject(service['spec'].selector)
      const ports = spec.template.spec.containers[0].ports.map(({ name }: { name: string }) => name)
      for (const { targetPort } of service['spec'].ports) expect(ports).toContain(targetPort)
      const keys = Object.keys(named('Secret', 'flowdock')['stringData'])
      for (const { valueFrom } of spec.template.spec.containers[0].env)
        if (valueFrom?.secretKeyRef !== undefined) {
          expect(valueFrom.secretKeyRef.name).toBe('flowdock')
          expect(keys).toContain(valueFrom.secretKeyRef.key)
        }
    }
    const services = manifests.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name)
    for (const { http } of named('Ingress', 'flowdock')['spec'].rules)
      for (const { backend } of http.paths) expect(services).toContain(backend.service.name)
    const budgets = manifests.filter(({ kind }) => kind === 'PodDisruptionBudget')
    for (const { metadata, spec } of budgets)
      expect(spec.selector).toEqual(named('Deployment', metadata.name)['spec'].selector)
  })

  test.each(['gateway', 'backend'])('start the %s with settings that it takes', (name) => {
    const { spec } = named('Deployment', name)['spec'].template
    const [{ env, args }] = spec.containers
    const values = Object.fromEntries(
      env.map(({ name: setting, value, valueFrom }: { name: string; value?: string; valueFrom?: object }) => {
        if (value !== undefined) return [setting, value.replace('$(POD_IP)', '10.0.0.7')]
        const { key } = (valueFrom as { secretKeyRef?: { key: string } }).secretKeyRef ?? { key: '' }
        const example = named('Secret', 'flowdock')['stringData'][key] as string | undefined
        return [setting, example === undefined || example === '' ? secret : example]
      }),
    )
    checkSettings(values)
    expect(args).toEqual(['node', 'dist/main.js', name === 'gateway' ? 'serve' : 'backend'])
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(stopsWithin(values))
    const [{ readinessProbe, livenessProbe }] = spec.containers
    expect(readinessProbe.httpGet.path).toBe('/health/ready')
    expect(livenessProbe.httpGet?.path ?? 'a TCP port').not.toBe('/health/ready')
    // It is noticed before the process stops accepting.
    const noticedSeconds = readinessProbe.periodSeconds * readinessProbe.failureThreshold
    expect(Number(values['SHUTDOWN_DELAY_SECONDS'])).toBeGreaterThan(noticedSeconds)
  })

  test('run no container as root, with more rights than it needs, or with a file system that it writes to', () => {
    for (const { spec } of deployments()) {
      const pod = spec.template.spec
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true })
      expect(pod.automountServiceAccountToken).toBe(false)
      for (const container of pod.containers) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
        expect(container.resources.limits.memory).toBeDefined()
      }
    }
  })
})

describe('compose.yaml', () => {
  let compose: Compose

  beforeAll(async () => {
    const names = await readSecretNames()
    compose = await readCompose(Object.fromEntries(names.map((name) => [name, secret])))
  })

  test('needs the secrets that .env.example names, and no others', async () => {
    const text = await readFile(join(deployFolder, 'compose.yaml'), 'utf8')
    const used = [...text.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name)
    expect([...new Set(used)].sort()).toEqual((await readSecretNames()).sort())
    await expect(readCompose({})).rejects.toThrow('is not set')
  })

  test.each(['gateway-1', 'gateway-2', 'backend-1', 'backend-2'])(
    'starts %s with settings that it takes',
    (name) => {
      const service = compose.services[name]
      const environment = Object.fromEntries(
        Object.entries(service?.environment ?? {}).map(([setting, value]) => [
          setting,
          // They are host names in the network of compose.
          setting === 'GATEWAY_HOST' || setting === 'ALLOWED_HOSTS' ? 'localhost' : value,
        ]),
      )
      if (name.startsWith('backend')) environment['BACKEND_URL'] = 'http://localhost:4001'
      checkSettings(environment)
      expect(environment['SERVICE_TOKEN']).toBe(secret)
      expect(service?.command).toEqual([
        'node',
        'dist/main.js',
        name.startsWith('gateway') ? 'serve' : 'backend',
      ])
      expect(Number.parseInt(service?.stop_grace_period ?? '', 10)).toBeGreaterThanOrEqual(
        stopsWithin(environment),
      )
      const port = name.startsWith('gateway') ? 4000 : 4001
      expect(service?.healthcheck?.test.join(' ')).toContain(`http://127.0.0.1:${port}/health/ready`)
      if (name.startsWith('gateway')) expect(environment['INTERNAL_URL']).toBe(`http://${name}:4000`)
    },
  )

  test('names services, volumes and hosts as they are', async () => {
    const names = Object.keys(compose.services)
    for (const service of Object.values(compose.services)) {
      for (const dependency of Object.keys(service.depends_on ?? {})) expect(names).toContain(dependency)
      for (const volume of service.volumes ?? [])
        if (!volume.startsWith('.')) expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0])
      for (const value of Object.values(service.environment ?? {})) {
        const host = URL.canParse(value) ? new URL(value).hostname : 'localhost'
        if (!['localhost', ''].includes(host)) expect(names, value).toContain(host)
      }
    }
    const nginx = await readFile(join(deployFolder, 'nginx.conf'), 'utf8')
    const servers = [...nginx.matchAll(/^ +server (\S+):(\d+) /gm)].map(([, host, port]) => [host, port])
    expect(servers).toEqual([
      ['gateway-1', '4000'],
      ['gateway-2', '4000'],
      ['backend-1', '4001'],
      ['backend-2', '4001'],
    ])
    const listens = [...nginx.matchAll(/^ +listen (\d+);/gm)].map(([, port]) => port)
    expect(listens).toEqual(['4000', '4001', '4101'])
    // The gateways' own entrance is not published.
    expect(compose.services['balancer']?.ports).toEqual(['4000:4000', '4001:4001'])
    expect(compose.services['gateway-1']?.environment?.['FLOWDOCK_API_URL']).toBe('http://balancer:4101')
    expect(nginx.split('listen 4001;')[1]?.split('server {')[0]).toContain(
      'location /service/ { return 404; }',
    )
  })
})

test('the commands in the comments of deploy/ work', async () => {
  const text = await readFile(join(deployFolder, 'compose.yaml'), 'utf8')
  const commands = [...text.matchAll(/^# .* exec backend-1 node dist\/main\.js (.+)$/gm)]
  expect(commands.length).toBeGreaterThan(0)
  for (const [, line = ''] of commands) {
    const args = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? '')
    const running = run(['src/main.ts', ...args], { DATA_DIR: await makeFolder() })
    expect([line, await running.exited, running.output.stderr]).toEqual([line, 0, ''])
  }
})
