/** Writes `possible-types.json` for the caches of GraphQL clients. `npm run schema` runs it. */
import { writeFile } from 'node:fs/promises'
import { printPossibleTypes } from '../src/schema/index.ts'

await writeFile(new URL('../possible-types.json', import.meta.url), printPossibleTypes())
