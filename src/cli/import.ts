import { parseArgs } from 'node:util'
import { type ImportSummary, importFlow } from '../backend/admin/flow-import.ts'
import { dataLocation, readConfig } from '../config.ts'
import { CommandError } from './command-error.ts'

export const importUsage = `  import ZIP --flow ORG/FLOW [--name NAME] [--people FILE] [--map-user NUMBER=USER]…
                             takes in a flow that was exported from the service`

/** Runs `import` on the data of the embedded backend, with a progress bar on a terminal. */
export async function importExport(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  print: (text: string) => void,
): Promise<number> {
  const { upstream } = readConfig(environment)
  if (upstream.kind === 'remote')
    throw new CommandError('FLOWDOCK_API_URL names another backend; unset it to import into the embedded one')
  const { zip, flow, values } = readArguments(args)
  try {
    const summary = await importFlow({
      location: dataLocation(upstream),
      zip,
      flow,
      name: values.name,
      people: values.people,
      mapUsers: readMapping(values['map-user'] ?? []),
      onProgress: process.stderr.isTTY ? showProgress : () => undefined,
    })
    print(values.json === true ? JSON.stringify(summary) : describe(summary))
    return 0
  } catch (error) {
    throw (error as Error).name === 'AdministrationError' ? new CommandError((error as Error).message) : error
  }
}

function readArguments(args: readonly string[]) {
  const usage =
    'Usage: flowdock-gateway import ZIP --flow ORG/FLOW [--name NAME] [--people FILE] [--map-user NUMBER=USER]… [--json]'
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        flow: { type: 'string' },
        name: { type: 'string' },
        people: { type: 'string' },
        'map-user': { type: 'string', multiple: true },
        json: { type: 'boolean' },
      },
    })
    const [zip, ...more] = positionals
    if (zip === undefined || more.length > 0) throw new Error('Expected one zip file')
    if (values.flow === undefined) throw new Error('--flow is missing')
    return { zip, flow: values.flow, values }
  } catch (error) {
    throw new CommandError(`${(error as Error).message}\n${usage}`)
  }
}

/** Users of the export, from arguments such as `777=ada@example.com` or `777=4`. */
function readMapping(entries: readonly string[]): Map<string, string> {
  return new Map(
    entries.map((entry) => {
      const [, number, user] = /^([1-9]\d{0,14})=(\S+)$/.exec(entry) ?? []
      if (number === undefined || user === undefined)
        throw new CommandError(
          `Expected --map-user to be NUMBER=USER, such as 777=ada@example.com or 777=4, got "${entry}"`,
        )
      return [number, user]
    }),
  )
}

const barLength = 40

function showProgress(part: number): void {
  const done = Math.round(part * barLength)
  const bar = `${'█'.repeat(done)}${'░'.repeat(barLength - done)}`
  process.stderr.write(`\r${bar} ${Math.floor(part * 100)} %${part >= 1 ? '\n' : ''}`)
}

function describe({ flow, flowId, messages, leftOut, files, people }: ImportSummary): string {
  const lines = [
    `${flow}: ${messages.taken} messages taken, ${messages.alreadyThere} were there already`,
    `id of the flow: ${flowId}`,
    `files: ${files.taken} taken, ${files.missing} not in the export`,
    `people: ${people.matched} are members here, ${people.created} made, who cannot sign in`,
  ]
  if (messages.shortened > 0)
    lines.push(`${messages.shortened} messages were longer than is stored, and shortened`)
  if (files.tooLong > 0) lines.push(`${files.tooLong} files were longer than is stored, and left out`)
  if (people.foreign > 0)
    lines.push(
      `${people.foreign} of those made have the address of a user who is not in the organization; --map-user says who is who`,
    )
  const reasons = Object.entries(leftOut).map(([reason, count]) => `  ${count} × ${reason}`)
  return [...lines, ...(reasons.length === 0 ? [] : ['left out:', ...reasons])].join('\n')
}
