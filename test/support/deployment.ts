import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { load, loadAll } from 'js-yaml'
import { root } from './process.ts'

/* The files of `deploy/`. */

export const deployFolder = join(root, 'deploy')

/** A service of compose.yaml, as Docker reads it. */
export interface ComposeService {
  readonly image?: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly volumes?: readonly string[]
  readonly stop_grace_period?: string
  readonly tmpfs?: readonly string[]
}

export interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly volumes: Readonly<Record<string, unknown>>
}

/** @param secrets what `.env` has */
export async function readCompose(secrets: Readonly<Record<string, string>>): Promise<Compose> {
  const text = await readFile(join(deployFolder, 'compose.yaml'), 'utf8')
  return merged(load(withVariables(text, secrets))) as Compose
}

/** The names that `.env.example` has. */
export async function readSecretNames(): Promise<string[]> {
  const text = await readFile(join(deployFolder, '.env.example'), 'utf8')
  return [...text.matchAll(/^([A-Z0-9_]+)=/gm)].map(([, name = '']) => name)
}

/** [compose-spec] 12-interpolation.md: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, and `$$` for a dollar. */
function withVariables(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(
    /\$\$|\$\{(\w+)(?::([-?])([^}]*))?\}/g,
    (whole, name: string | undefined, kind: string | undefined, rest: string) => {
      if (name === undefined) return '$'
      const value = values[name] ?? ''
      if (value !== '') return value
      if (kind === '-') return rest
      throw new Error(`${whole}: ${name} is not set`)
    },
  )
}

/** Applies the merge keys, which js-yaml leaves. [yaml] merge.html */
function merged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(merged)
  if (typeof value !== 'object' || value === null) return value
  const { '<<': base, ...own } = value as Record<string, unknown>
  const bases = base === undefined ? [] : [base].flat().map(merged)
  const members = Object.entries(own).map(([name, member]) => [name, merged(member)])
  return Object.assign({}, ...bases.reverse(), Object.fromEntries(members))
}

export interface Manifest {
  readonly file: string
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  // biome-ignore lint/suspicious/noExplicitAny: tests look into manifests of every kind
  readonly [member: string]: any
}

/** Every document of `deploy/kubernetes`. */
export async function readManifests(): Promise<Manifest[]> {
  const folder = join(deployFolder, 'kubernetes')
  const files = (await readdir(folder)).filter((name) => name.endsWith('.yaml'))
  const documents = await Promise.all(
    files.map(async (file) => {
      const all = loadAll(await readFile(join(folder, file), 'utf8')) as Omit<Manifest, 'file'>[]
      return all.map((document) => ({ file, ...document }) as Manifest)
    }),
  )
  return documents.flat()
}
