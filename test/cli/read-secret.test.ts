import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { readSecret } from '../../src/cli/read-secret.ts'

/** A terminal: what is typed there, and what it shows. */
function openTerminal() {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => input })
  const output = new PassThrough()
  let shown = ''
  output.setEncoding('utf8').on('data', (text: string) => {
    shown += text
  })
  return { input, output, shown: () => shown }
}

test('on a terminal there is a prompt without an echo', async () => {
  const { input, output, shown } = openTerminal()
  const secret = readSecret(input, output, 'Password: ')
  input.write(' open sesame \r')
  expect(await secret).toBe(' open sesame ')
  expect(shown()).toBe('Password: \n')
})

test('leaving the prompt gives no secret', async () => {
  const { input, output } = openTerminal()
  const secret = readSecret(input, output, 'Password: ')
  input.write('\u0003')
  await expect(secret).rejects.toThrow('No password was given')
})

test.each([
  ['one line', ' open sesame \n', ' open sesame '],
  ['a line without an end', 'open', 'open'],
  ['a line as on Windows', 'open\r\n', 'open'],
  ['a line and more', 'open\nsesame\n', 'open'],
])('piped in it is %s', async (_, text, secret) => {
  const input = new PassThrough()
  input.end(text)
  expect(await readSecret(input, new PassThrough(), 'Password: ')).toBe(secret)
})

test.each([
  ['nothing', '', 'got nothing'],
  ['a blank line', '\n', 'got nothing'],
  ['too much', 'x'.repeat(1025), 'A password has at most 1024 bytes'],
])('%s is refused', async (_, text, problem) => {
  const input = new PassThrough()
  input.end(text)
  await expect(readSecret(input, new PassThrough(), 'Password: ')).rejects.toThrow(problem)
})
