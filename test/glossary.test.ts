import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isEnumType, isInputObjectType, isInterfaceType, isObjectType } from 'graphql'
import { parseSync } from 'vite'
import { describe, expect, test } from 'vitest'
import { listSettings } from '../src/config.ts'
import { schema } from '../src/schema/index.ts'

/* One word for one thing: CONTRIBUTING.md has the glossary, and the words that it replaces. */

const root = join(import.meta.dirname, '..')

/** Parts of identifiers, settings and metrics that the glossary replaces. */
const replacedNames =
  /^(caller|callers|wish|wishes|freshness|allowance|allowances|lane|lanes|guest|guests|seat|seats|door|doors|displaced|linger|told|hears|heard|anew|whoever|somebody|nobody)$/
/** Words that no description uses. */
const replacedWords =
  /\b(whoever|somebody|nobody|everybody|anew|told|heard|taken for|looked at|for so long|so many)\b/i

const wordsOf = (name: string) => name.split(/[_-]|(?<=[a-z0-9])(?=[A-Z])/).map((word) => word.toLowerCase())
const isReplaced = (name: string) => wordsOf(name).some((word) => replacedNames.test(word))

/** The names that a file declares. */
function declaredIn(path: string, text: string): string[] {
  const names: string[] = []
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit)
    if (typeof node !== 'object' || node === null) return
    const { type, id, key } = node as Record<'type' | 'id' | 'key', { name?: string } | undefined>
    const isDeclaration = /Declaration|Declarator|Signature|PropertyDefinition|MethodDefinition/.test(
      String(type),
    )
    const name = isDeclaration ? (id?.name ?? key?.name) : undefined
    if (name !== undefined) names.push(`${path} ${name}`)
    Object.values(node).forEach(visit)
  }
  visit(parseSync(path, text).program)
  return names
}

describe('the words that the glossary replaces are not in', () => {
  test('the identifiers that src/ declares, nor its file names', async () => {
    const files = (await readdir(join(root, 'src'), { recursive: true })).filter((file) =>
      file.endsWith('.ts'),
    )
    const declared = await Promise.all(
      files.map(async (file) => declaredIn(file, await readFile(join(root, 'src', file), 'utf8'))),
    )
    expect(declared.flat().length).toBeGreaterThan(2000)
    const names = [...declared.flat(), ...files.map((file) => `${file} ${file.replace(/^.*\/|\.ts$/g, '')}`)]
    expect(names.filter((name) => isReplaced(name.replace(/^.* /, '')))).toEqual([])
  })

  test('the settings', () => {
    expect(
      listSettings()
        .map(({ name }) => name)
        .filter(isReplaced),
    ).toEqual([])
  })

  test('the descriptions of the schema', () => {
    const described = Object.values(schema.getTypeMap()).flatMap((type) => {
      const members = isEnumType(type)
        ? type.getValues()
        : isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)
          ? Object.values(type.getFields())
          : []
      return [type, ...members, ...members.flatMap((member) => ('args' in member ? member.args : []))].map(
        (each) => `${type.name}.${each.name}: ${each.description ?? ''}`,
      )
    })
    expect(described.length).toBeGreaterThan(500)
    expect(described.filter((text) => !text.startsWith('__') && replacedWords.test(text))).toEqual([])
  })

  test('this test finds them', () => {
    expect(isReplaced('keptForGuests')).toBe(true)
    expect(isReplaced('guestbook')).toBe(false)
    expect(declaredIn('x.ts', 'interface A { readonly seats: number }\nconst lane = 1')).toEqual([
      'x.ts A',
      'x.ts seats',
      'x.ts lane',
    ])
  })
})
