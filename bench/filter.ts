import { compileFilter } from '../src/backend/flowthings/filter/evaluate.ts'
import { parseFilter } from '../src/backend/flowthings/filter/parse.ts'
import type { Subject } from '../src/backend/flowthings/filter/subject.ts'

/* How many small drops one core evaluates in a second, beside the same condition written by hand. */

/** Filters, each with the same condition written by hand; regular expressions of V8 may take exponential time. */
const filters: Readonly<Record<string, (drop: Drop, now: number) => boolean>> = {
  'elems.temp > 25': ({ elems }) => elems.temp > 25,
  'elems.temp > 25 && elems.room == "kitchen"': ({ elems }) => elems.temp > 25 && elems.room === 'kitchen',
  'NOT (elems.temp > 25 || elems.room IN ["hall","cellar"])': ({ elems }) =>
    !(elems.temp > 25 || elems.room === 'hall' || elems.room === 'cellar'),
  'elems.tags CONTAINS ["outside","south"]': ({ elems }) =>
    elems.tags.includes('outside') && elems.tags.includes('south'),
  'EXISTS elems.alarm': ({ elems }) => elems.alarm !== undefined,
  'AGE < 3600000': ({ creationDate }, now) => now - creationDate < 3_600_000,
  'elems.count % 10 == 3': ({ elems }) => elems.count % 10 === 3,
  'elems.room =~ /^kit/': ({ elems }) => /^kit/.test(elems.room),
  'elems.room =~ /KIT.*(n|s)$/i': ({ elems }) => /KIT.*(n|s)$/i.test(elems.room),
  'MATCHES /kitchen/': ({ elems }) =>
    Object.values(elems).some((value) => typeof value === 'string' && /kitchen/.test(value)),
  'HAS float': ({ elems }) =>
    Object.values(elems).some((value) => typeof value === 'number' && !Number.isInteger(value)),
  'location WITHIN 5 KM OF [48.137,11.575]': ({ location }) =>
    Math.hypot((location.lat - 48.137) * 111.195, (location.lon - 11.575) * 74.2) <= 5,
}

const drops = 100_000
const rounds = 12

/** Prints medians of the rounds behind the first two, in which the functions are optimized. */
export async function measureFilters(): Promise<void> {
  const now = Date.UTC(2015, 6, 6)
  const subjects = Array.from({ length: drops }, (_, index) => makeDrop(index, now))
  console.log(`filter evaluator, ${drops.toLocaleString('en')} drops of 6 elements, one core, million/s`)
  console.log('   filter  by hand')
  for (const [text, byHand] of Object.entries(filters)) {
    const evaluator = compileFilter(parseFilter(text), 'drop')
    const [own, peer] = [measure(evaluator, subjects, now), measure(byHand, subjects, now)]
    const matched = own.matched === peer.matched ? own.matched : `${own.matched}, by hand ${peer.matched}`
    console.log(`${format(own.rate)} ${format(peer.rate)}  ${text}  (${matched} match)`)
  }
}

function measure(matches: (drop: Drop, now: number) => boolean, subjects: readonly Drop[], now: number) {
  const rates: number[] = []
  let matched = 0
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now()
    matched = 0
    for (const subject of subjects) if (matches(subject, now)) matched += 1
    if (round >= 2) rates.push(drops / (performance.now() - begin) / 1000)
  }
  return { rate: rates.sort((a, b) => a - b)[Math.floor(rates.length / 2)] ?? 0, matched }
}

function format(rate: number): string {
  return rate.toFixed(1).padStart(8)
}

interface Drop extends Subject {
  readonly creationDate: number
  readonly location: { readonly lat: number; readonly lon: number }
  readonly elems: {
    readonly temp: number
    readonly room: string
    readonly count: number
    readonly tags: readonly string[]
    readonly on: boolean
    readonly alarm?: boolean
  }
}

const rooms = ['kitchen', 'hall', 'cellar', 'attic', 'kitchens']

/** Parsed from JSON, as drops are that come from the store. */
function makeDrop(index: number, now: number): Drop {
  return JSON.parse(
    JSON.stringify({
      id: `d${index.toString(16).padStart(24, '0')}`,
      flowId: 'f551ac39bd4c6c0000000000',
      path: '/alice/house/climate',
      creationDate: now - index * 100,
      version: 0,
      location: { lat: 48 + (index % 100) / 100, lon: 11.57 },
      elems: {
        temp: 15 + (index % 200) / 10,
        room: rooms[index % rooms.length] as string,
        count: index,
        tags: index % 3 === 0 ? ['outside', 'south'] : ['inside'],
        on: index % 2 === 0,
        ...(index % 50 === 0 ? { alarm: true } : {}),
      },
      elementTypes: {},
    }),
  ) as Drop
}
