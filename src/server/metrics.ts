/** What is live, as counters and gauges are made of. */
export interface LiveFigures {
  readonly sources: readonly { readonly seats: number; readonly guests: number; readonly isOpen: boolean }[]
  readonly live: {
    readonly operations: number
    readonly groups: readonly { readonly members: number; readonly isShared: boolean }[]
  }
  readonly sockets: number
  readonly liveResponses: number
  readonly waitingBytes: number
}

/** The figures in the text format of Prometheus. No label depends on who asks or what is asked. */
export function formatMetrics({ sources, live, sockets, liveResponses, waitingBytes }: LiveFigures): string {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  const open = sources.filter(({ isOpen }) => isOpen).length
  const seats = sum(sources.map((source) => source.seats))
  const members = sum(live.groups.map((group) => group.members))
  const gauges: [name: string, help: string, value: number][] = [
    ['upstream_streams', 'Streams to the upstream that are open', open],
    ['upstream_streams_opening', 'Streams to the upstream that are not open yet', sources.length - open],
    ['upstream_stream_seats', 'Subscriptions that are fed by them', seats],
    [
      'upstream_stream_guests',
      'Those of them fed by the stream of somebody else',
      sum(sources.map(({ guests }) => guests)),
    ],
    ['subscriptions', 'Subscriptions that are running', live.operations],
    ['subscriptions_live', 'Those of them that have caught up with what happens now', members],
    ['subscription_groups', 'Groups of them that are executed together', live.groups.length],
    [
      'subscription_groups_shared',
      'Those groups that reach across callers',
      live.groups.filter(({ isShared }) => isShared).length,
    ],
    ['sockets', 'WebSockets that are open', sockets],
    ['live_responses', 'Answers over SSE and multipart that are open', liveResponses],
    [
      'waiting_bytes',
      'What waits for slow readers of sockets; what several wait for counts for each',
      waitingBytes,
    ],
  ]
  return gauges
    .map(([name, help, value]) => {
      const full = `flowdock_gateway_${name}`
      return `# HELP ${full} ${help}\n# TYPE ${full} gauge\n${full} ${value}\n`
    })
    .join('')
}
