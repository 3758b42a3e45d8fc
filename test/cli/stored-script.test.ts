import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeFolder } from '../support/backend.ts'
import { root, run } from '../support/process.ts'

const program = `(function (exports, require, module, __filename, __dirname, importMeta) {
  const add = (a, b) => a + b
  module.exports = { sum: add(1, 2), path: __filename, url: importMeta.url, sep: require('node:path').sep }
})`

/** Runs a file in a process of its own, which sets the flag that a server sets after its start. */
async function start(file: string, folder: string | undefined): Promise<Record<string, unknown>> {
  const text = `
    import { setFlagsFromString } from 'node:v8'
    import { runStoredScript } from ${JSON.stringify(join(root, 'src/cli/stored-script.ts'))}
    const [file, folder] = ${JSON.stringify([file, folder ?? null])}
    const { exports, usesStoredCode } = runStoredScript(file, folder ?? undefined)
    setFlagsFromString('--no-allocation-site-pretenuring')
    console.log(JSON.stringify({ ...exports, usesStoredCode }))`
  const running = run(['--input-type=module', '-e', text])
  expect([await running.exited, running.output.stderr]).toEqual([0, ''])
  return JSON.parse(running.output.stdout)
}

async function makeProgram(): Promise<{ file: string; folder: string }> {
  const folder = await makeFolder()
  const file = join(folder, 'program.cjs')
  await writeFile(file, program)
  return { file, folder: await makeFolder() }
}

test('a file runs with the code that the process before has compiled', async () => {
  const { file, folder } = await makeProgram()
  const exports = { sum: 3, path: file, url: `file://${file}`, sep: '/' }
  expect(await start(file, folder)).toEqual({ ...exports, usesStoredCode: false })
  expect(await readdir(folder)).toEqual(['program.cjs.code'])
  expect(await start(file, folder)).toEqual({ ...exports, usesStoredCode: true })
})

test('without a folder, and with one that cannot be written to, it runs all the same', async () => {
  const { file, folder } = await makeProgram()
  for (const place of [undefined, file, join(folder, 'missing')])
    expect(await start(file, place)).toMatchObject({ sum: 3, usesStoredCode: false })
  expect(await readdir(folder)).toEqual([])
})

test('stored code of a changed file of the same length is made again', async () => {
  const { file, folder } = await makeProgram()
  await start(file, folder)
  await writeFile(file, program.replace('a + b', 'a * b'))
  expect(await start(file, folder)).toMatchObject({ sum: 2, usesStoredCode: false })
  expect(await start(file, folder)).toMatchObject({ sum: 2, usesStoredCode: true })
})

test('stored code that is damaged or cut off is made again', async () => {
  const { file, folder } = await makeProgram()
  const stored = join(folder, 'program.cjs.code')
  await start(file, folder)
  const bytes = await readFile(stored)
  const flipped = Buffer.from(bytes)
  flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] ?? 0) ^ 1
  for (const damaged of [
    flipped,
    bytes.subarray(0, bytes.length - 8),
    Buffer.alloc(bytes.length),
    Buffer.alloc(0),
  ]) {
    await writeFile(stored, damaged)
    expect(await start(file, folder)).toMatchObject({ sum: 3, usesStoredCode: false })
    expect(await start(file, folder)).toMatchObject({ sum: 3, usesStoredCode: true })
  }
})

test('stored code of other flags of V8 is not used', async () => {
  const { file, folder } = await makeProgram()
  await start(file, folder)
  const text = `
    import { runStoredScript } from ${JSON.stringify(join(root, 'src/cli/stored-script.ts'))}
    console.log(runStoredScript(${JSON.stringify(file)}, ${JSON.stringify(folder)}).usesStoredCode)`
  const running = run(['--no-allocation-site-pretenuring', '--input-type=module', '-e', text])
  expect([await running.exited, running.output.stdout]).toEqual([0, 'false\n'])
})
