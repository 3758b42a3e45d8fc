import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { openClient } from './query-client.ts'
import { findContenders, type RunningContender, type StackContender } from './stack-contenders.ts'
import { makeData } from './stack-data.ts'
import { type Question, questions } from './stack-questions.ts'

const rounds = Number(process.env['ROUNDS'] ?? 3)
const roundMs = Number(process.env['ROUND_MS'] ?? 2000)
const numbers = (setting: string, fallback: number) =>
  process.env[setting]?.split(',').map(Number) ?? [fallback]
/** Each question is measured with each of these. */
const connectionCounts = numbers('CONNECTIONS', 32)
const principalCounts = numbers('PRINCIPALS', 1000)

type Running = StackContender & { readonly server: RunningContender }

/**
 * What `npm start` runs, which is the gateway, the embedded backend and SQLite in one process on one core, beside other servers
 * that answer the same questions from the same data. Their backends and databases are on that core, too.
 */
export async function stack(): Promise<void> {
  spawnSync('taskset', ['-cp', '1', String(process.pid)])
  const asked = findQuestions()
  const contenders = findContenders()
  const dataDir = await makeData()
  const running: Running[] = []
  try {
    for (const contender of contenders) running.push({ ...contender, server: await contender.start(dataDir) })
    for (const question of asked) {
      const able = running.filter((contender) => textFor(question, contender) !== undefined)
      await compareAnswers(question, able)
      for (const connections of connectionCounts)
        for (const principals of principalCounts) await measure(question, able, connections, principals)
    }
    console.log('\n| | memory at the end |\n|---|---:|')
    for (const { title, server } of running)
      console.log(`| ${title} | ${server.memoryMiB().toFixed(0)} MiB |`)
  } finally {
    for (const { server } of running) await server.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

function findQuestions(): readonly Question[] {
  const names = process.env['QUESTIONS']?.split(',') ?? questions.map(({ name }) => name)
  const unknown = names.filter((name) => !questions.some((question) => question.name === name))
  if (unknown.length > 0)
    throw new Error(`Expected QUESTIONS to be of ${questions.map(({ name }) => name)}, got ${unknown}`)
  return questions.filter(({ name }) => names.includes(name))
}

const textFor = ({ body, postgraphile }: Question, { schema }: StackContender) =>
  schema === 'gateway' ? body : postgraphile

/** @throws when they do not all give the same bytes, apart from new numbers */
async function compareAnswers(question: Question, running: readonly Running[]): Promise<void> {
  let first: string | undefined
  for (const contender of running) {
    const client = await openClient(contender.server.port, textFor(question, contender) ?? '', 1, 1)
    const answer = await client.once()
    client.close()
    if (answer.includes('"errors"')) throw new Error(`${contender.title}: ${answer.slice(0, 500)}`)
    const comparable = answer.replaceAll(/"databaseId":\d+/g, '"databaseId":0').trim()
    first ??= comparable
    if (comparable !== first)
      throw new Error(
        `${question.title}: ${contender.title} has another answer:\n${comparable.slice(0, 500)}\n${first.slice(0, 500)}`,
      )
  }
}

interface Figures {
  readonly rate: number[]
  readonly p50: number[]
  readonly p99: number[]
  readonly front: number[]
  readonly others: number[]
}

async function measure(
  question: Question,
  running: readonly Running[],
  connectionCount: number,
  principalCount: number,
): Promise<void> {
  const connections = Math.min(connectionCount, question.connections ?? connectionCount)
  const principals = Math.min(principalCount, question.members)
  const rows = running.map((contender) => ({
    contender,
    figures: { rate: [], p50: [], p99: [], front: [], others: [] } as Figures,
  }))
  // The first round is for the compiler.
  for (let round = 0; round <= rounds; round += 1)
    for (const { contender, figures } of rows) {
      const { server } = contender
      const client = await openClient(
        server.port,
        textFor(question, contender) ?? '',
        connections,
        principals,
      )
      const writing = startWriting(server, question)
      await client.run(roundMs / 4)
      await server.pin()
      const before = server.cpu()
      const start = performance.now()
      const took = (await client.run(roundMs)).sort((a, b) => a - b)
      const seconds = (performance.now() - start) / 1000
      const after = server.cpu()
      await writing.stop()
      client.close()
      server.removeFiles()
      if (round === 0) continue
      figures.rate.push(took.length / seconds)
      figures.p50.push(took[took.length >> 1] ?? 0)
      figures.p99.push(took[Math.floor(took.length * 0.99)] ?? 0)
      figures.front.push(((after.front - before.front) * 1000) / took.length)
      figures.others.push(((after.others - before.others) * 1000) / took.length)
    }
  const count = (number: number, noun: string) =>
    `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`
  console.log(
    `\n${question.title}; ${count(connections, 'connection')}, ${count(principals, 'principal')}\n\n| | requests/s | p50 | p99 | CPU each | CPU, the gateway in comparison |\n|---|---:|---:|---:|---:|---:|`,
  )
  const cpuOf = ({ front, others }: Figures) =>
    median(front.map((each, index) => each + (others[index] ?? 0)))
  const own = rows[0] === undefined ? 0 : cpuOf(rows[0].figures)
  for (const { contender, figures } of rows) {
    const cpu = `${median(figures.front).toFixed(3)} + ${median(figures.others).toFixed(3)} ms`
    const ratio = contender === rows[0]?.contender ? '' : `${(own / cpuOf(figures)).toFixed(2)} ×`
    console.log(
      `| ${contender.title} | ${Math.round(median(figures.rate)).toLocaleString('en')} | ${median(figures.p50).toFixed(1)} ms | ${median(figures.p99).toFixed(1)} ms | ${cpu} | ${ratio} |`,
    )
  }
}

/** Sends messages until it is stopped, if the question says so. */
function startWriting(server: RunningContender, { written }: Question): { stop(): Promise<void> } {
  if (written === undefined) return { stop: async () => undefined }
  let last = Promise.resolve()
  const timer = setInterval(() => {
    last = last.then(() => server.write(written.flow))
  }, 1000 / written.eachSecond)
  return {
    async stop() {
      clearInterval(timer)
      await last
    },
  }
}

const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0
