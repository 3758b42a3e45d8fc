import { hash } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { constants, Script } from 'node:vm'

/** By then the functions that a start calls are compiled, and V8 has not dropped them. */
const storeAfterMs = 3000
/** Hexadecimal digits of SHA-256. */
const digestLength = 64

type Program = (
  exports: object,
  require: NodeJS.Require,
  module: { readonly exports: object },
  filename: string,
  dirname: string,
  importMeta: { readonly url: string; readonly dirname: string },
) => void

/**
 * Runs a file of the package with the code that an earlier start compiled. The cache of Node.js has only functions that V8 compiles when
 * it loads a file; the code that is stored here has also those that were called in the first seconds. Code that does not fit the file, or the
 * version or flags of V8, is not used.
 *
 * @param path a file of ASCII with a function expression
 * @param folder where code is stored; undefined stores none
 */
export function runStoredScript(
  path: string,
  folder: string | undefined,
): { readonly exports: object; readonly usesStoredCode: boolean } {
  const source = readFileSync(path, 'latin1')
  const file = folder === undefined ? undefined : join(folder, `${basename(path)}.code`)
  const code = file === undefined ? undefined : readCode(file, source)
  const script = new Script(source, {
    filename: path,
    ...(code === undefined ? {} : { cachedData: code }),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })
  const usesStoredCode = code !== undefined && script.cachedDataRejected !== true
  if (file !== undefined && !usesStoredCode) storeLater(file, source, script)
  const module = { exports: {} }
  const program: Program = script.runInThisContext()
  const importMeta = { url: pathToFileURL(path).href, dirname: dirname(path) }
  program(module.exports, createRequire(path), module, path, importMeta.dirname, importMeta)
  return { exports: module.exports, usesStoredCode }
}

/** The stored code; undefined if it is missing, damaged or of another file. */
function readCode(file: string, source: string): Buffer | undefined {
  try {
    const bytes = readFileSync(file)
    const code = bytes.subarray(digestLength)
    return bytes.toString('latin1', 0, digestLength) === digestOf(source, code) ? code : undefined
  } catch {
    return undefined
  }
}

/** V8 compares the length of the file only, and damaged code would end the process. */
function digestOf(source: string, code: Buffer): string {
  return hash('sha256', hash('sha256', source) + hash('sha256', code))
}

/** Stores the code after some seconds, or when the process ends before. */
function storeLater(file: string, source: string, script: Script): void {
  const store = () => {
    clearTimeout(timer)
    process.off('exit', store)
    try {
      // V8 uses code that was made with the flags of the start. `runUntilStopped` has set this flag since.
      setFlagsFromString('--allocation-site-pretenuring')
      const code = script.createCachedData()
      const temporary = `${file}.${process.pid}`
      writeFileSync(temporary, Buffer.concat([Buffer.from(digestOf(source, code)), code]), { mode: 0o600 })
      renameSync(temporary, file)
    } catch {
      // A folder that cannot be written to is no error.
    } finally {
      setFlagsFromString('--no-allocation-site-pretenuring')
    }
  }
  const timer = setTimeout(store, storeAfterMs).unref()
  process.once('exit', store)
}
