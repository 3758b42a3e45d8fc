import { parseArgs } from 'node:util'
import { backupData, checkData, renewLog, restoreData } from '../backend/admin/maintenance.ts'
import { dataLocation, readConfig } from '../config.ts'
import { CommandError } from './command-error.ts'

export const maintenanceCommands = ['backup', 'restore', 'renew-log', 'check']

/** The lines of the help for these commands. */
export const maintenanceUsage = `  backup --to FOLDER         copies DATA_DIR, also while the server runs
  restore --from FOLDER      puts a backup into an empty DATA_DIR
  renew-log                  makes streams begin again after pg_restore, or a failover that lost commits
  check [--repair]           looks for damage; the exit code is 1 if there is any.
                             --repair removes files that belong to no message`

/** Runs `backup`, `restore`, `renew-log` or `check` on the data of the embedded backend. @throws CommandError */
export async function maintain(
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  print: (text: string) => void,
): Promise<number> {
  const { upstream } = readConfig(environment)
  if (upstream.kind === 'remote')
    throw new CommandError('FLOWDOCK_API_URL names another backend; unset it to maintain the embedded one')
  const location = dataLocation(upstream)
  const { dataDir, s3 } = location
  const notCopied = s3 === undefined ? '' : '; files at S3_URL are not part of it'
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        to: { type: 'string' },
        from: { type: 'string' },
        repair: { type: 'boolean' },
        json: { type: 'boolean' },
      },
    })
    const say = (result: object, words: string) =>
      print(values.json === true ? JSON.stringify(result) : words)
    if (command === 'backup') {
      const to = need('to', values.to)
      await backupData(location, to)
      say({ from: dataDir, to }, `${dataDir} was copied to ${to}${notCopied}`)
      return 0
    }
    if (command === 'restore') {
      const from = need('from', values.from)
      await restoreData(from, location)
      say({ from, to: dataDir }, `${from} was put into ${dataDir}${notCopied}`)
      return 0
    }
    if (command === 'renew-log') {
      await renewLog(location)
      say({}, 'The event log has another id: backends start again within a second, and streams begin again')
      return 0
    }
    const { problems, repaired } = await checkData(location, values.repair === true)
    const lines = [...repaired, ...problems]
    say({ problems, repaired }, lines.length === 0 ? 'All is well' : lines.join('\n'))
    return problems.length === 0 ? 0 : 1
  } catch (error) {
    const { name, message, code } = error as NodeJS.ErrnoException
    const expected =
      name === 'AdministrationError' || name === 'FileStorageError' || code?.startsWith('ERR_PARSE_ARGS')
    throw expected ? new CommandError(message) : error
  }
}

function need(name: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new CommandError(`--${name} is missing`)
  return value
}
