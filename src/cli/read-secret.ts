import { createInterface } from 'node:readline/promises'
import { type Readable, Writable } from 'node:stream'
import { CommandError } from './command-error.ts'

const maxSecretBytes = 1024

/**
 * Reads a secret: from a terminal after a prompt, without an echo, or else the first line of standard input. Blanks belong to the
 * secret.
 *
 * @param prompted shows the prompt
 * @throws CommandError when there is none, or it is too long
 */
export async function readSecret(
  input: Readable & { isTTY?: boolean },
  prompted: Writable,
  prompt: string,
): Promise<string> {
  const secret = input.isTTY === true ? await ask(input, prompted, prompt) : await readLine(input)
  if (secret === '') throw new CommandError('Expected a password on standard input, got nothing')
  return secret
}

async function ask(input: Readable, prompted: Writable, prompt: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input, output: silent, terminal: true })
  // Control-C and Control-D close the prompt without a secret.
  const left = Promise.withResolvers<string>()
  terminal.once('close', () => left.reject(new CommandError('No password was given')))
  prompted.write(prompt)
  try {
    return await Promise.race([terminal.question(''), left.promise])
  } finally {
    terminal.close()
    prompted.write('\n')
  }
}

async function readLine(input: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of input as AsyncIterable<Buffer | string>) {
    const bytes = Buffer.from(chunk)
    chunks.push(bytes)
    size += bytes.length
    if (bytes.includes(0x0a)) break
    if (size > maxSecretBytes) break
  }
  const [line = ''] = Buffer.concat(chunks).toString('utf8').split(/\r?\n/)
  if (Buffer.byteLength(line) > maxSecretBytes)
    throw new CommandError(`A password has at most ${maxSecretBytes} bytes`)
  return line
}
