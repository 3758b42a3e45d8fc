import { expect, onTestFinished, test } from 'vitest'
import { EqualResults, type EqualResultsOptions } from '../../src/graphql/equal-results.ts'

/** Reads one value. */
interface Read {
  readonly isComplete: boolean
  readonly value: string
}

function start(options?: EqualResultsOptions) {
  const results = new EqualResults<Read>(options)
  onTestFinished(() => results.close())
  const executions: string[] = []
  /** Executes an operation that reads `value`. */
  const ask = async (value: string, { key = 'key', isComplete = true, errors = false } = {}) => {
    const result = await results.find(
      key,
      {
        record: () => ({ context: 'recorded', reads: { isComplete, value } }),
        repeats: async (reads) => reads.value === value,
      },
      (context) => {
        executions.push(`${value} ${context === 'recorded' ? 'recorded' : 'plain'}`)
        return { data: { value }, ...(errors ? { errors: [] } : {}) }
      },
    )
    return result.data?.['value']
  }
  return { results, executions, ask }
}

test('an operation is recorded at its second execution, and not executed again while its reads are equal', async () => {
  const { results, executions, ask } = start()
  for (let times = 0; times < 5; times += 1) expect(await ask('a')).toBe('a')
  expect(executions).toEqual(['a plain', 'a recorded'])
  expect(results.size).toBe(1)
})

test('with other reads it is executed', async () => {
  const { executions, ask } = start()
  for (const value of ['a', 'a', 'a', 'b', 'b']) expect(await ask(value)).toBe(value)
  expect(executions).toEqual(['a plain', 'a recorded', 'b recorded'])
})

test('four results of an operation are known at once', async () => {
  const { results, executions, ask } = start()
  for (const value of 'aaabbccddabcdabcd') expect(await ask(value)).toBe(value)
  expect(executions).toEqual(['a plain', 'a recorded', 'b recorded', 'c recorded', 'd recorded'])
  for (const value of 'eea') await ask(value)
  expect(executions.slice(5)).toEqual(['e recorded', 'a recorded'])
  expect(results.size).toBe(4)
})

test('operations of other keys are other operations', async () => {
  const { ask } = start()
  for (let times = 0; times < 3; times += 1) {
    expect(await ask('a', { key: 'one' })).toBe('a')
    expect(await ask('b', { key: 'other' })).toBe('b')
  }
})

test('a result whose reads are not recorded as a whole, and one with errors, are not known', async () => {
  const { results, executions, ask } = start()
  for (let times = 0; times < 4; times += 1) {
    await ask('a', { key: 'incomplete', isComplete: false })
    await ask('a', { key: 'failed', errors: true })
  }
  expect(executions).toHaveLength(8)
  expect(results.size).toBe(0)
})

test('a principal with an error does not keep an operation of others from being recorded', async () => {
  const { executions, ask } = start()
  for (const value of 'aaa') await ask(value)
  await ask('refused', { errors: true })
  for (const value of 'bb') await ask(value)
  expect(executions.slice(2)).toEqual(['refused recorded', 'b recorded'])
})

test('a result that was recorded during the reads of another execution stays', async () => {
  const { results, executions, ask } = start()
  for (const value of 'aaa') await ask(value)
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const slow = results.find(
    'key',
    {
      record: () => ({ context: 'recorded', reads: { isComplete: true, value: 'c' } }),
      repeats: () => promise,
    },
    (context) => ({ data: { value: context } }),
  )
  await ask('b')
  resolve(false)
  expect((await slow).data?.['value']).not.toBe('recorded')
  await ask('b')
  expect(executions.slice(2)).toEqual(['b recorded'])
})

test('an operation whose reads are never equal is recorded less and less often', async () => {
  const { executions, ask } = start()
  for (let index = 0; index < 1000; index += 1) await ask(String(index))
  expect(executions).toHaveLength(1000)
  const recorded = executions.filter((execution) => execution.endsWith('recorded'))
  expect(recorded.length).toBeLessThan(30)
})

test('the JSON of a known result is made once', async () => {
  const { results } = start()
  const reading = {
    record: () => ({ context: 0, reads: { isComplete: true, value: '' } }),
    repeats: async () => true,
  }
  const find = () => results.find('key', reading, () => ({ data: { a: 1 } }))
  expect(results.bodyOf(await find())).toBeUndefined()
  await find()
  const body = results.bodyOf(await find())
  expect(body?.text()).toBe('{"data":{"a":1}}')
  expect(results.bodyOf(await find())).toBe(body)
})

test('results past the bound are not kept', async () => {
  const { results, ask } = start({ maxCharacters: 10 })
  for (let times = 0; times < 4; times += 1) expect(await ask('a')).toBe('a')
  expect(results.size).toBe(0)
})
