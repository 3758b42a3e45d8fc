import { describe, expect, test } from 'vitest'
import { assignForm, readForm } from '../../src/backend/http/form.ts'

describe('a form is read', () => {
  test.each<[string, unknown]>([
    ['', {}],
    ['a=1&b=2&a=3', { a: '3', b: '2' }],
    ['tags[]=x&tags[]=y', { tags: ['x', 'y'] }],
    ['author[name]=Zoe&author[email]=z@x', { author: { name: 'Zoe', email: 'z@x' } }],
    ['f[][label]=a&f[][value]=b&f[][label]=c', { f: [{ label: 'a', value: 'b' }, { label: 'c' }] }],
    ['t[actions][][target][url]=x', { t: { actions: [{ target: { url: 'x' } }] } }],
    ['[a]=1', { a: '1' }],
    ['a[[b]=1', { a: { '[b': '1' } }],
    ['a[b=1', { a: '1' }],
    ['[[[=1', {}],
    ['__proto__[x]=1', { ['__proto__']: { x: '1' } }],
  ])('%s', (text, expected) => {
    expect(JSON.parse(JSON.stringify(readForm(text)))).toEqual(expected)
  })
})

describe('a form is refused', () => {
  test('past 1,000 pairs', () => {
    expect(
      Object.keys(readForm(Array.from({ length: 1000 }, (_, index) => `a${index}`).join('&'))),
    ).toHaveLength(1000)
    expect(() => readForm('a&'.repeat(1000))).toThrow('Form has more than 1000 pairs')
  })

  test('past names of 200 characters', () => {
    const values = {}
    assignForm(values, 'n'.repeat(200), '1')
    expect(values).toEqual({ ['n'.repeat(200)]: '1' })
    expect(() => assignForm({}, 'n'.repeat(201), '1')).toThrow('longer than 200 characters')
  })

  test('past five levels', () => {
    const values = {}
    assignForm(values, 'a[b][c][d][e][f]', '1')
    expect(values).toMatchObject({ a: { b: { c: { d: { e: { f: '1' } } } } } })
    expect(() => assignForm({}, 'a[b][c][d][e][f][g]', '1')).toThrow('nested deeper than 5 levels')
  })
})
