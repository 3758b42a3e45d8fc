import { buildSchema, execute, parse } from 'graphql'
import { expect, onTestFinished, test } from 'vitest'
import { type BackgroundJob, createBackgroundQueue } from '../../src/graphql/background-queue.ts'
import { createExecutor, defaultInterpretations } from '../../src/graphql/executor.ts'
import { eventually } from '../support/app.ts'

const schema = buildSchema('type Query { x: Int y(n: Int): Int }')
const rootValue = { x: 1, y: ({ n }: { n: number }) => n }

/** A queue that a test works off by hand. */
function manualQueue(maxJobs = 1000) {
  const jobs: BackgroundJob[] = []
  return {
    jobs,
    add: (job: BackgroundJob) => jobs.length < maxJobs && jobs.push(job) > 0,
    size: 0,
    close: () => undefined,
  }
}

test('an operation is compiled in the background, once, after it was used often', async () => {
  const background = manualQueue()
  const executor = createExecutor({ schema, background })
  const document = parse('query A($n: Int) { x y(n: $n) }')
  const run = () => executor.execute({ schema, document, rootValue, variableValues: { n: 2 } })
  for (let index = 0; index < defaultInterpretations; index += 1) await run()
  expect(background.jobs).toEqual([])
  // The compiler itself is loaded first.
  await eventually(async () => (await run()) !== undefined && background.jobs.length === 1)
  for (let index = 0; index < 50; index += 1) await run()
  expect(background.jobs).toHaveLength(1)
  const interpreted = await run()
  background.jobs[0]?.run()
  expect(await run()).toEqual(interpreted)
  expect(interpreted).toEqual({ data: { x: 1, y: 2 } })
  for (let index = 0; index < 50; index += 1) await run()
  expect(background.jobs).toHaveLength(1)
})

test('two hundred documents in one turn of the event loop compile nothing in it', async () => {
  const background = manualQueue()
  const executor = createExecutor({ schema, background })
  const documents = Array.from({ length: 200 }, (_, index) => parse(`query N${index} { x }`))
  const runAll = () =>
    Promise.all(documents.map((document) => executor.execute({ schema, document, rootValue })))
  for (let index = 0; index <= defaultInterpretations; index += 1) await runAll()
  await eventually(async () => (await runAll()).length === 200 && background.jobs.length === 200)
  // The most used is compiled first: what each is worth is asked when its turn comes.
  await executor.execute({ schema, document: documents[7] ?? parse('{ x }'), rootValue })
  const priorities = background.jobs.map((job) => job.priority())
  expect(Math.max(...priorities)).toBe(priorities[7])
})

test('an operation for which the queue has no room is interpreted, and added later', async () => {
  let isFull = true
  const jobs: BackgroundJob[] = []
  const background = {
    ...{ size: 0, close: () => undefined },
    add: (job: BackgroundJob) => !isFull && jobs.push(job) > 0,
  }
  const executor = createExecutor({ schema, background, interpretations: 1 })
  const document = parse('{ x }')
  const run = () => executor.execute({ schema, document, rootValue })
  for (let index = 0; index < 5; index += 1) {
    expect(await run()).toEqual(execute({ schema, document, rootValue }))
    await new Promise(setImmediate)
  }
  isFull = false
  await eventually(async () => (await run()) !== undefined && jobs.length === 1)
})

test('the queue does one job in a turn of the event loop, the most wanted first, and takes a hundred', async () => {
  const queue = createBackgroundQueue({ isIdle: () => true })
  onTestFinished(queue.close)
  let turn = 0
  let isOver = false
  const count = () => {
    turn += 1
    if (!isOver) setImmediate(count)
  }
  count()
  const done: { readonly name: number; readonly turn: number }[] = []
  const add = (name: number) => queue.add({ priority: () => name, run: () => void done.push({ name, turn }) })
  for (const name of [2, 5, 1, 4, 3]) expect(add(name)).toBe(true)
  while (queue.size < 100) add(0)
  expect(add(9)).toBe(false)
  await eventually(() => done.length >= 7)
  isOver = true
  expect(done.slice(0, 5).map(({ name }) => name)).toEqual([5, 4, 3, 2, 1])
  expect(new Set(done.map((each) => each.turn)).size).toBe(done.length)
})

test('a process that is never idle does the jobs all the same', async () => {
  const queue = createBackgroundQueue({ isIdle: () => false })
  onTestFinished(queue.close)
  let isDone = false
  queue.add({
    priority: () => 1,
    run() {
      isDone = true
    },
  })
  await eventually(() => isDone)
})
