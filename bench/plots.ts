import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Bar {
  readonly name: string
  readonly value: number
}

interface Plot {
  readonly file: string
  readonly title: string
  /** The start of the first cell in the head of the table, and the column that is drawn. */
  readonly tables: readonly { readonly head: string; readonly name: string }[]
  readonly column: number
}

const plots: readonly Plot[] = [
  {
    file: 'nested.svg',
    title: 'A flow, 100 messages, their authors and threads, for 1,000 users: requests in a second',
    tables: [{ head: 'flow → 100 messages', name: '' }],
    column: 1,
  },
  {
    file: 'fan-out.svg',
    title: '1,000 subscribers: deliveries in a second',
    tables: [
      { head: 'one document for all', name: 'one document' },
      { head: '100 different documents', name: '100 documents' },
      { head: '1,000 different documents', name: '1,000 documents' },
    ],
    column: 1,
  },
]

const width = 760
const nameWidth = 310
const barHeight = 18
const gap = 6

/** Draws the tables of `bench/README.md`, so that pictures and tables agree. */
export async function drawPlots(): Promise<void> {
  const readme = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8').split('\n')
  mkdirSync(join(import.meta.dirname, 'plots'), { recursive: true })
  for (const plot of plots) {
    const groups = plot.tables.map(({ head, name }) => ({ name, bars: readTable(readme, head, plot.column) }))
    writeFileSync(join(import.meta.dirname, 'plots', plot.file), draw(plot.title, groups))
    console.log(`bench/plots/${plot.file}`)
  }
}

/** @throws Error when there is no such table */
function readTable(lines: readonly string[], head: string, column: number): Bar[] {
  const begin = lines.findIndex((line) => line.startsWith(`| ${head}`))
  if (begin === -1) throw new Error(`bench/README.md has no table "${head}"`)
  const end = lines.findIndex((line, index) => index > begin && !line.startsWith('|'))
  return lines.slice(begin + 2, end).map((line) => {
    const cells = line.split('|').map((cell) => cell.trim())
    return { name: cells[1] ?? '', value: Number(cells[column + 1]?.replaceAll(',', '')) }
  })
}

function draw(title: string, groups: readonly { name: string; bars: readonly Bar[] }[]): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)))
  const scale = (width - nameWidth - 90) / most
  const parts: string[] = []
  let y = 40
  for (const { name, bars } of groups) {
    if (name !== '') {
      parts.push(`<text x="12" y="${y + 8}" class="group">${escapeXml(name)}</text>`)
      y += 18
    }
    for (const bar of bars) {
      const length = Math.max(bar.value * scale, 1)
      parts.push(
        `<text x="${nameWidth - 8}" y="${y + 13}" class="name">${escapeXml(bar.name)}</text>`,
        `<rect x="${nameWidth}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" class="${bar.name === 'the gateway' ? 'ours' : 'other'}"/>`,
        `<text x="${(nameWidth + length + 6).toFixed(1)}" y="${y + 13}">${bar.value.toLocaleString('en')}</text>`,
      )
      y += barHeight + gap
    }
    y += 12
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" role="img">
<title>${escapeXml(title)}</title>
<style>
  svg { background: #fff; font: 12px system-ui, sans-serif; }
  text { fill: #26323f; }
  .title { font-size: 14px; font-weight: 600; }
  .group { font-weight: 600; }
  .name { text-anchor: end; }
  .ours { fill: #2f6fb3; }
  .other { fill: #b8c4d0; }
</style>
<text x="12" y="22" class="title">${escapeXml(title)}</text>
${parts.join('\n')}
</svg>
`
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
