import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { printSchemaFile } from '../schema/index.ts'

/** Prints the schema, or writes it to the file after `--out`. */
export async function printSchema(args: readonly string[], print: (text: string) => void): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { out: { type: 'string' } } })
  if (values.out === undefined) print(printSchemaFile().trimEnd())
  else await writeFile(values.out, printSchemaFile())
  return 0
}
