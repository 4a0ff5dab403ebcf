// Figures of `bench/workloads.ts` as a picture, a bar for each side of each workload, and as tables.

import type { Spread } from '../quantile.ts'

/** Of one side in one workload. Ratios are to the base: throughput, processor time. */
export interface Figures {
  readonly workload: string
  readonly side: string
  readonly perSecond: number
  readonly cpu: number
  readonly throughput: Spread
  readonly processor: Spread
}

const [left, width, bar, gap, top] = [210, 640, 11, 16, 56] as const
const colours = [
  '#0b6e4f',
  '#7fb69e',
  '#b9d8c8',
  '#5f6b73',
  '#8d99a1',
  '#b8c1c7',
  '#c98b5e',
  '#d9b08c',
  '#e6cdb5',
  '#9b7bb0',
]

/** An SVG of throughput, a logarithmic scale. */
export function plot(figures: readonly Figures[]): string {
  const workloads = [...new Set(figures.map(({ workload }) => workload))]
  const sides = [...new Set(figures.map(({ side }) => side))]
  const highest = Math.max(2, ...figures.map(({ throughput: { high } }) => high))
  const lowest = Math.min(0.5, ...figures.map(({ throughput: { low } }) => low))
  const scale = (value: number): number =>
    ((Math.log(value) - Math.log(lowest)) / (Math.log(highest) - Math.log(lowest))) * width
  const parts: string[] = []
  let y = top
  for (const workload of workloads) {
    const own = figures.filter((each) => each.workload === workload)
    parts.push(text(0, y + bar - 1, workload, 'font-weight="bold"'))
    for (const { side, throughput: ratio } of own) {
      const at = scale(ratio.middle)
      const from = Math.min(at, scale(1))
      const colour = colours[sides.indexOf(side) % colours.length] ?? '#888888'
      parts.push(
        text(left - 8, y + bar - 2, side, 'text-anchor="end"'),
        `<rect x="${fixed(left + from)}" y="${y}" width="${fixed(Math.max(1, Math.abs(at - scale(1))))}" height="${bar - 2}" fill="${colour}"/>`,
        `<path d="M${fixed(left + scale(ratio.low))} ${y + bar / 2 - 1}H${fixed(left + scale(ratio.high))}" stroke="#222222" stroke-width="1"/>`,
        text(left + Math.max(at, scale(ratio.high), scale(1)) + 5, y + bar - 2, ratio.middle.toFixed(2)),
      )
      y += bar + 2
    }
    y += gap
  }
  const ticks = [0.25, 0.5, 1, 2, 4, 8, 16].filter((value) => value >= lowest && value <= highest)
  const lines = ticks.flatMap((value) => [
    `<path d="M${fixed(left + scale(value))} ${top - 8}V${y - gap}" stroke="${value === 1 ? '#666666' : '#dddddd'}"/>`,
    text(left + scale(value), top - 12, `${value}×`, 'text-anchor="middle"'),
  ])
  const size = `width="${left + width + 70}" height="${y}" viewBox="0 0 ${left + width + 70} ${y}"`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="10">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text(0, 16, 'Throughput as a ratio to node-postgres, medians; the line is the quartiles', 'font-size="13"'),
    ...lines,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

/** Two tables in Markdown: throughput and processor time, a line for each side and a column for each workload. */
export function ratiosOf(figures: readonly Figures[], base = 'pg'): string {
  const workloads = [...new Set(figures.map(({ workload }) => workload))]
  const sides = [...new Set(figures.map(({ side }) => side))]
  const sheet = (title: string, of: (each: Figures) => Spread): string => {
    const line = (side: string): string =>
      `| ${[side, ...workloads.map((name) => cell(figures.find((each) => each.side === side && each.workload === name)))].join(' | ')} |`
    const cell = (each: Figures | undefined): string => (each === undefined ? '' : of(each).middle.toFixed(2))
    const head = [`| ${['', ...workloads].join(' | ')} |`, `|---|${workloads.map(() => '---:').join('|')}|`]
    return [title, '', ...head, ...sides.map(line)].join('\n')
  }
  const first = `Node ${process.version}, ${new Date().toISOString().slice(0, 10)}.`
  return [
    first,
    sheet(`Throughput, as a ratio to \`${base}\`: more is better.`, ({ throughput }) => throughput),
    sheet(
      `Processor time of the client for each operation, as a ratio to \`${base}\`: less is better.`,
      ({ processor }) => processor,
    ),
  ].join('\n\n')
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${fixed(x)}" y="${fixed(y)}" ${attributes}>${safe}</text>`
}

function fixed(value: number): string {
  return value.toFixed(1)
}
