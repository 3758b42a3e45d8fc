#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { CommandError } from './cli/command-error.ts'

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  process.stderr.write(`flowdock-gateway needs Node.js 24 or newer; this is ${process.versions.node}\n`)
  process.exit(1)
}

// The next start need not compile what this one compiled. NODE_COMPILE_CACHE names another folder, and
// NODE_DISABLE_COMPILE_CACHE=1 turns it off. A folder that cannot be written to is no error.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compiled'))

const usage = `Usage: flowdock-gateway [command]

  serve                      the gateway with its embedded backend (the default)
  backend                    the Flowdock-compatible backend alone
  print-schema [--out FILE]  the GraphQL schema
  streams [URL] [--json]     what is live in a gateway, for its operators (METRICS_TOKEN)
  doctor [URL] [--json]      looks at a running gateway from outside, and says what is wrong
  help                       this text

Administration of the embedded backend, also while it runs; --json prints JSON:

`
const settings = '\nSettings come from the environment; docs/configuration.md lists them.'

/** The process: runs a command, prints its errors, and sets the exit code. Commands are loaded when they run. */
async function main([command = 'serve', ...args]: readonly string[]): Promise<number> {
  const print = (text: string) => process.stdout.write(`${text}\n`)
  switch (command) {
    case 'serve': {
      expectNoArguments(command, args)
      const { serve } = await import('./cli/serve.ts')
      return serve(process.env, print, process.stdout.isTTY === true)
    }
    case 'backend': {
      expectNoArguments(command, args)
      const { backend } = await import('./cli/backend.ts')
      return backend(process.env, print)
    }
    case 'print-schema': {
      const { printSchema } = await import('./cli/print-schema.ts')
      return printSchema(args, print)
    }
    case 'streams': {
      const { streams } = await import('./cli/streams.ts')
      return streams(args, process.env, print)
    }
    case 'doctor': {
      const { doctor } = await import('./cli/doctor.ts')
      return doctor(args, process.env, print)
    }
    case 'import': {
      const { importExport } = await import('./cli/import.ts')
      return importExport(args, process.env, print)
    }
    default: {
      const { administer, administrationUsage, nouns } = await import('./cli/administer.ts')
      if (command in nouns) return administer(command, args, process.env, print)
      const { maintain, maintenanceCommands, maintenanceUsage } = await import('./cli/maintain.ts')
      if (maintenanceCommands.includes(command)) return maintain(command, args, process.env, print)
      const { importUsage } = await import('./cli/import.ts')
      const help = `${usage}${maintenanceUsage}\n${importUsage}\n${administrationUsage()}\n${settings}`
      if (['help', '--help', '-h'].includes(command)) {
        print(help)
        return 0
      }
      process.stderr.write(`There is no command "${command}"\n\n${help}\n`)
      return 2
    }
  }
}

/** @throws CommandError where there are any: a server that ignores `--port` would listen elsewhere than expected */
function expectNoArguments(command: string, [first]: readonly string[]): void {
  if (first !== undefined)
    throw new CommandError(
      `Unexpected argument '${first}' of ${command}: settings come from the environment, such as PORT=4000; docs/configuration.md lists them`,
    )
}

try {
  process.exitCode = await main(process.argv.slice(2))
  // Writing to a pipe goes on while the other side reads. A reader that left needs no more.
  await new Promise((resolve) => {
    process.stdout.once('error', resolve)
    process.stdout.write('', resolve)
  })
  process.exit()
} catch (error) {
  const { name, message, stack } = error as Error
  const expected = name === 'ConfigError' || name === 'CommandError'
  process.stderr.write(`${expected ? message : stack}\n`)
  process.exit(1)
}
