import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { root } from '../support/process.ts'

const printSchema = `"${process.execPath}" src/main.ts print-schema`

test('a program that reads slower than a command prints gets all of the output', async () => {
  const schema = await readFile(`${root}/schema.graphql`, 'utf8')
  // The pipe between them is full before the reader goes on.
  const reader = `{ read -r first; sleep 1; printf '%s\\n' "$first"; cat; }`
  const shell = spawn('bash', ['-c', `${printSchema} | ${reader}`], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  expect(await text(shell.stdout)).toBe(schema)
})

test('a command ends without an error when the program that reads its output has ended', async () => {
  const shell = spawn('bash', ['-c', `${printSchema} | head -1; exit \${PIPESTATUS[0]}`], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors, [code]] = await Promise.all([
    text(shell.stdout),
    text(shell.stderr),
    once(shell, 'close'),
  ])
  expect({ errors, code }).toEqual({ errors: '', code: 0 })
  expect(output.split('\n')).toHaveLength(2)
})
