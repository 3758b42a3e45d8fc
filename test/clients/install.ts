import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const folder = import.meta.dirname

/** Installs the clients of this folder's lock file. npm writes the hidden lock file last, so it exists once all is installed. */
export async function setup(): Promise<void> {
  if (existsSync(join(folder, 'node_modules/.package-lock.json'))) return
  await promisify(execFile)('npm', ['ci', '--prefer-offline'], { cwd: folder })
}
