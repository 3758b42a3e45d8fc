import { parseArgs } from 'node:util'
import { type FileMove, moveFiles, type StorageName } from '../backend/admin/file-moves.ts'
import { backupData, checkData, renewLog, restoreData } from '../backend/admin/maintenance.ts'
import { dataLocation, readConfig } from '../config.ts'
import { CommandError } from './command-error.ts'

export const maintenanceCommands = ['backup', 'restore', 'renew-log', 'check', 'move-files']

/** The lines of the help for these commands. */
export const maintenanceUsage = `  backup --to FOLDER [--with-s3]
                             copies DATA_DIR, also while the server runs; with --with-s3, files at S3_URL, too
  restore --from FOLDER      puts a backup into an empty DATA_DIR
  renew-log                  makes streams begin again after pg_restore, or a failover that lost commits
  check [--repair]           looks for damage; the exit code is 1 if there is any.
                             --repair removes files that belong to no message
  move-files --to s3|folder  moves all files between DATA_DIR and S3_URL, also while servers run`

/** Runs a maintenance command on the data of the embedded backend. @throws CommandError */
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
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        to: { type: 'string' },
        from: { type: 'string' },
        repair: { type: 'boolean' },
        'with-s3': { type: 'boolean' },
        json: { type: 'boolean' },
      },
    })
    const say = (result: object, words: string) =>
      print(values.json === true ? JSON.stringify(result) : words)
    if (command === 'backup') {
      const to = need('to', values.to)
      const withS3 = values['with-s3'] === true
      if (withS3 && s3 === undefined) throw new CommandError('--with-s3 needs S3_URL')
      await backupData(location, to, { withS3 })
      const notCopied = s3 === undefined || withS3 ? '' : '; files at S3_URL are not part of it'
      say({ from: dataDir, to }, `${dataDir} was copied to ${to}${notCopied}`)
      return 0
    }
    if (command === 'restore') {
      const from = need('from', values.from)
      await restoreData(from, location)
      const unchanged = s3 === undefined ? '' : '; files at S3_URL were not changed'
      say({ from, to: dataDir }, `${from} was put into ${dataDir}${unchanged}`)
      return 0
    }
    if (command === 'renew-log') {
      await renewLog(location)
      say({}, 'The event log has another id: backends start again within a second, and streams begin again')
      return 0
    }
    if (command === 'move-files') {
      const to = readStorageName(need('to', values.to))
      const move = await moveFiles(location, to, (moved) => {
        if (values.json !== true && moved % filesBetweenLines === 0) print(`${moved} files were moved`)
      })
      say(move, describeMove(move, to))
      return move.problems.length === 0 ? 0 : 1
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

const filesBetweenLines = 100

function readStorageName(text: string): StorageName {
  if (text !== 's3' && text !== 'folder') throw new CommandError(`--to is "${text}", not "s3" or "folder"`)
  return text
}

function describeMove({ moved, bytes, unnamed, problems }: FileMove, to: StorageName): string {
  const place = to === 's3' ? 'S3_URL' : 'DATA_DIR'
  const lines = [`${moved} files with ${bytes} bytes were moved to ${place}`]
  if (unnamed > 0)
    lines.push(`${unnamed} files that belong to no message stayed; check --repair removes them`)
  return [...lines, ...problems].join('\n')
}

function need(name: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new CommandError(`--${name} is missing`)
  return value
}
