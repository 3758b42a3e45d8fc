/**
 * Three weeks of a small team's work for the demo organization: messages, posts of integrations and files. The history is always
 * the same, with times relative to the start.
 */

export type DemoNick = 'Ada' | 'Ben' | 'Cleo' | 'Dina' | 'Emil'
export type DemoFlow = 'main' | 'engineering' | 'support'
export type DemoSource = 'Tickets' | 'Build server' | 'Help desk'

/** A message of the history. Messages with the same `thread` belong together; it is not an id. */
export type DemoEvent = { readonly at: number; readonly flow: DemoFlow; readonly thread: string } & (
  | {
      readonly kind: 'message'
      readonly nick: DemoNick
      readonly text: string
      /** The users who reacted with a thumb up. */
      readonly likes: readonly DemoNick[]
    }
  | { readonly kind: 'file'; readonly nick: DemoNick; readonly file: DemoFile }
  | { readonly kind: 'item'; readonly source: DemoSource; readonly item: DemoItem }
)

export interface DemoFile {
  readonly name: string
  readonly type: string
  readonly bytes: Buffer
}

/** A ticket, a build or a customer's question, as its integration posts it. */
export interface DemoItem {
  readonly title: string
  readonly status: { readonly color: string; readonly value: string }
  readonly author: string
  /** The title of an activity. */
  readonly action: string
  /** The text of a discussion, as HTML. */
  readonly comment?: string
}

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
/** How many days before the start the history begins. */
export const demoDays = 21

type Line = readonly [DemoNick, string, ...DemoNick[]]
type Talk = readonly [flow: DemoFlow, day: number, hour: number, ...lines: Line[]]

/** Days are before the start; hours are in UTC. */
const talks: readonly Talk[] = [
  [
    'main',
    20,
    9.2,
    ['Ada', 'Good morning! This quarter is about live queries. #planning'],
    ['Ben', 'About time. I will write up how they resume'],
    ['Dina', 'Can I take the dashboards?'],
    ['Ada', 'They are yours', 'Dina', 'Ben'],
  ],
  [
    'engineering',
    20,
    10.5,
    ['Ben', 'First draft of the resume design: one cursor for history and live events #design'],
    ['Dina', 'What happens when the backend forgets old events?'],
    ['Ben', 'A gap, with the times it lies between. Never silence', 'Dina'],
  ],
  [
    'support',
    19,
    8.8,
    ['Emil', 'Two customers ask for an export of their flows #export'],
    ['Cleo', 'It is in the administration command. I will answer both'],
  ],
  [
    'main',
    19,
    11.4,
    ['Cleo', 'Who joins for lunch? Soup today #lunch'],
    ['Emil', 'Me'],
    ['Dina', 'Me too, ten minutes'],
  ],
  [
    'engineering',
    18,
    13.2,
    ['Dina', 'Counting messages by author takes one call now, it was forty #performance', 'Ben', 'Ada'],
    ['Ben', 'Nice. Does it hold for a busy flow?'],
    ['Dina', 'Yes, the database counts'],
  ],
  [
    'main',
    17,
    9.1,
    ['Ada', 'Team day is on the 14th. Ideas? #teamday'],
    ['Cleo', 'Boats!', 'Emil', 'Dina'],
    ['Ben', 'Anything but boats'],
    ['Emil', 'A boat with a roof, then'],
  ],
  [
    'support',
    17,
    14.6,
    [
      'Cleo',
      'The answers about single sign-on are in the handbook now https://example.com/handbook/sign-in #howto',
    ],
    ['Emil', 'That saves me five mails a day', 'Cleo'],
  ],
  [
    'engineering',
    16,
    10.1,
    [
      'Ben',
      'Streams are opened again after a cut in 0.2 to 15 seconds, at random, so that they do not all come at once',
    ],
    ['Ada', 'How many did we try?'],
    ['Ben', 'Ten thousand. The backend did not notice', 'Ada', 'Dina'],
  ],
  [
    'main',
    16,
    15.8,
    ['Dina', 'The new screens by the door show our flows live https://example.com/screens #dashboard'],
    ['Ada', 'Lovely. The fonts can be larger'],
  ],
  ['main', 15, 9.6, ['Emil', 'I am at the dentist until noon'], ['Cleo', 'Good luck!']],
  [
    'engineering',
    15,
    11.3,
    ['Dina', 'Release 2.4 is branched. Only fixes from here #release'],
    ['Ben', 'Two fixes are in review'],
    ['Ada', 'Then we ship on Thursday'],
  ],
  [
    'support',
    14,
    9.4,
    ['Emil', 'A bot of a customer sends every message twice #bug'],
    ['Cleo', 'Does it send a uuid? Then the second is dropped'],
    ['Emil', 'It does not. I will tell them', 'Cleo'],
  ],
  [
    'engineering',
    13,
    10.7,
    ['Ben', '2.4 is out: https://example.com/releases/2.4 #release', 'Ada', 'Cleo', 'Dina'],
    ['Ada', 'Great work. Release notes go to support today'],
    ['Dina', 'The error rate is flat, two hours in'],
  ],
  [
    'main',
    13,
    16.2,
    ['Ada', 'Cake in the kitchen for 2.4 #release', 'Ben', 'Cleo', 'Dina', 'Emil'],
    ['Ben', 'The best kind of release note'],
  ],
  [
    'support',
    12,
    10.9,
    ['Cleo', 'No question about 2.4 so far'],
    ['Emil', 'One: where is the dark mode? I sent a picture of the switch'],
  ],
  ['main', 11, 9.3, ['Dina', 'I am in the other office this week'], ['Ada', 'Say hello to everybody there']],
  [
    'engineering',
    10,
    13.9,
    ['Dina', 'Searching by tag is 3 times faster with the new index #performance', 'Ben'],
    ['Ben', 'And how much larger is the database?'],
    ['Dina', 'Four percent'],
  ],
  [
    'support',
    10,
    15.1,
    ['Emil', 'The Northwind people want to move in: 60 flows, 8 years of messages #import'],
    ['Cleo', 'The import goes on where it stopped, so a weekend is enough'],
    ['Ada', 'Ben can be on call'],
  ],
  [
    'main',
    9,
    9.0,
    ['Cleo', 'Numbers of the month: 212 questions, median answer after 11 minutes #support', 'Ada', 'Emil'],
    ['Ada', 'That is the best month yet'],
  ],
  [
    'engineering',
    9,
    11.8,
    ['Ben', 'The nightly build fails only when the clock changes'],
    ['Dina', 'A test reads the time zone of the machine. I have a fix', 'Ben'],
  ],
  [
    'main',
    8,
    12.1,
    ['Emil', 'Pizza or noodles? #lunch'],
    ['Ben', 'Noodles'],
    ['Cleo', 'Noodles'],
    ['Dina', 'Pizza, but I can be outvoted'],
  ],
  [
    'support',
    8,
    14.3,
    ['Emil', 'Northwind is in: 1.4 million messages, nothing left out #import', 'Cleo', 'Ada', 'Ben'],
  ],
  [
    'engineering',
    7,
    10.2,
    ['Ada', 'What is left for 2.5? #release'],
    ['Ben', 'Uploads from the browser'],
    ['Dina', 'Counts by tag. The screens wait for them'],
  ],
  [
    'main',
    6,
    9.5,
    ['Ada', 'It is a boat with a roof. Calendar entries are sent #teamday', 'Cleo', 'Emil'],
    ['Ben', 'I give in', 'Ada'],
  ],
  [
    'engineering',
    6,
    14.7,
    ['Ben', 'Uploads work. A 200 MB video took no memory worth mentioning #upload', 'Dina'],
    ['Dina', 'Did you cut the line half-way?'],
    ['Ben', 'Yes: nothing is left of it, and the next try works'],
  ],
  [
    'support',
    5,
    9.9,
    ['Cleo', 'Please answer in the thread of the ticket, so that the next shift finds it #howto'],
    ['Emil', 'Will do'],
  ],
  [
    'engineering',
    5,
    13.0,
    ['Dina', 'Counts by tag are in. The picture is from the screen by the door #dashboard'],
  ],
  [
    'main',
    4,
    10.4,
    ['Dina', 'The café opposite is open again'],
    ['Emil', 'I saw the queue'],
    ['Cleo', 'I am the queue', 'Dina', 'Emil', 'Ben'],
  ],
  [
    'engineering',
    4,
    15.6,
    ['Ben', 'Review of the upload limits, please: https://example.com/changes/1180 #review'],
    ['Dina', 'Looking'],
    ['Dina', 'Two remarks, otherwise good'],
  ],
  [
    'support',
    3,
    11.1,
    ['Emil', 'How do I see who is on call? #oncall'],
    ['Cleo', 'It is the status of whoever it is, in Main'],
  ],
  [
    'main',
    3,
    13.5,
    ['Ada', 'Thank you for a quiet week. Demo of 2.5 on Friday #release'],
    ['Ben', 'It will work without a safety net', 'Ada', 'Cleo'],
  ],
  [
    'engineering',
    2,
    9.7,
    ['Dina', 'The load test of 2.5 is through: same latency with twice the subscribers #release'],
    ['Ben', 'Plot?'],
    ['Dina', 'Attached'],
  ],
  [
    'support',
    2,
    14.0,
    ['Cleo', 'Three questions about uploads, all answered by the handbook'],
    ['Emil', 'I linked it from the form'],
  ],
  [
    'main',
    1,
    9.2,
    ['Emil', 'Good morning from the train'],
    ['Ada', 'Demo at 15:00, in the large room #release'],
    ['Dina', 'I bring the screen'],
  ],
  [
    'engineering',
    1,
    11.9,
    ['Ben', 'Release candidate 2 is built #release'],
    ['Ada', 'I try it on the demo data'],
    ['Ada', 'All good here', 'Ben', 'Dina'],
  ],
  [
    'support',
    1,
    15.4,
    ['Emil', 'Northwind asks for a second organization'],
    ['Cleo', 'They can make it themselves, I sent them the page'],
  ],
]

/** The latest messages, with minutes before the start instead of days. */
const recentTalks: readonly Talk[] = [
  [
    'main',
    95,
    0,
    ['Cleo', 'The demo went well, everybody liked the live pane', 'Ada', 'Ben', 'Dina'],
    ['Dina', 'And nobody saw the cable'],
  ],
  [
    'support',
    64,
    0,
    ['Cleo', 'A customer wants to stream into a spreadsheet'],
    ['Emil', 'That works, with curl and one line of script. I will write it down #howto', 'Cleo'],
  ],
  [
    'engineering',
    41,
    0,
    ['Dina', '@Ada 2.5 is ready for a last look #release'],
    ['Ben', 'The changelog, too'],
  ],
  [
    'main',
    18,
    0,
    ['Ben', 'Shall we ship 2.5 today? #release'],
    ['Emil', 'Support is ready'],
    ['Ada', 'Yes. Let us do it', 'Ben', 'Cleo', 'Dina', 'Emil'],
  ],
]

type Step = readonly [
  day: number,
  hour: number,
  author: DemoNick,
  action: string,
  status: keyof typeof states,
  comment?: string,
]
type Item = readonly [flow: DemoFlow, source: DemoSource, key: string, title: string, ...steps: Step[]]

const states = {
  open: 'yellow',
  'in progress': 'blue',
  done: 'green',
  waiting: 'orange',
  answered: 'green',
} as const

const items: readonly Item[] = [
  [
    'engineering',
    'Tickets',
    'EX-3',
    'Resume live queries after a break',
    [20, 11.0, 'Ben', 'created ticket', 'open'],
    [18, 9.3, 'Ben', 'started work', 'in progress'],
    [14, 16.4, 'Dina', 'closed ticket', 'done'],
  ],
  [
    'engineering',
    'Tickets',
    'EX-4',
    'Count messages by author',
    [19, 13.7, 'Dina', 'created ticket', 'open'],
    [18, 14.0, 'Dina', 'closed ticket', 'done'],
  ],
  [
    'engineering',
    'Tickets',
    'EX-5',
    'Larger fonts on the screens',
    [16, 16.1, 'Ada', 'created ticket', 'open'],
    [12, 10.0, 'Dina', 'closed ticket', 'done'],
  ],
  [
    'engineering',
    'Tickets',
    'EX-6',
    'A test depends on the time zone',
    [9, 12.0, 'Ben', 'created ticket', 'open'],
    [9, 15.0, 'Dina', 'commented', 'in progress', '<p>The test now sets the zone itself.</p>'],
    [8, 9.4, 'Dina', 'closed ticket', 'done'],
  ],
  [
    'engineering',
    'Tickets',
    'EX-7',
    'Uploads from the browser',
    [11, 10.3, 'Ben', 'created ticket', 'open'],
    [7, 11.0, 'Ben', 'started work', 'in progress'],
    [4, 16.5, 'Ben', 'closed ticket', 'done'],
  ],
  [
    'engineering',
    'Tickets',
    'EX-8',
    'Count messages by tag',
    [10, 9.1, 'Dina', 'created ticket', 'open'],
    [5, 12.4, 'Dina', 'closed ticket', 'done'],
  ],
  [
    'engineering',
    'Tickets',
    'EX-9',
    'Search finds nothing in file names',
    [3, 9.8, 'Emil', 'created ticket', 'open'],
    [
      2,
      12.2,
      'Ben',
      'commented',
      'in progress',
      '<p>Names with an underscore are one word. I split them.</p>',
    ],
  ],
  [
    'support',
    'Help desk',
    'HD-101',
    'How long are messages stored?',
    [18, 9.0, 'Emil', 'asked', 'waiting', '<p>We have to know for our records.</p>'],
    [18, 10.2, 'Emil', 'answered', 'answered'],
  ],
  [
    'support',
    'Help desk',
    'HD-102',
    'Bot sends everything twice',
    [14, 9.1, 'Emil', 'asked', 'waiting', '<p>Each reminder comes two times.</p>'],
    [14, 15.0, 'Emil', 'answered', 'answered'],
  ],
  [
    'support',
    'Help desk',
    'HD-103',
    'Where is the dark mode?',
    [12, 10.5, 'Emil', 'asked', 'waiting', '<p>My eyes hurt at night.</p>'],
    [12, 11.2, 'Emil', 'answered', 'answered'],
  ],
  [
    'support',
    'Help desk',
    'HD-104',
    'Moving in with 60 flows',
    [10, 14.8, 'Emil', 'asked', 'waiting', '<p>Can we keep eight years of messages?</p>'],
    [8, 14.5, 'Cleo', 'answered', 'answered'],
  ],
  [
    'support',
    'Help desk',
    'HD-105',
    'Upload of a video fails',
    [2, 10.6, 'Cleo', 'asked', 'waiting', '<p>It stops at 256 MB.</p>'],
    [2, 11.5, 'Cleo', 'answered', 'answered'],
  ],
]

/** The nights with a failed build, and the error. */
const failures: Readonly<Record<number, string>> = {
  17: 'Two tests timed out.',
  9: 'The time zone test failed.',
  3: 'The package registry did not answer.',
}

/** The whole history before `start`, oldest first. */
export function demoHistory(start: number): readonly DemoEvent[] {
  const midnight = Math.floor(start / dayMs) * dayMs
  const at = (day: number, hour: number) => midnight - day * dayMs + Math.round(hour * 60) * minuteMs
  const spoken = [
    ...talks.flatMap((talk) => messagesOf(talk, at(talk[1], talk[2]))),
    ...recentTalks.flatMap((talk) => messagesOf(talk, start - talk[1] * minuteMs)),
  ]
  const files: DemoEvent[] = [
    {
      at: at(16, 16.3),
      kind: 'file',
      flow: 'main',
      thread: 'screens',
      nick: 'Dina',
      file: plot('screens.svg', 'Messages a day', [9, 14, 12, 17, 8, 15, 19]),
    },
    { at: at(13, 11.5), kind: 'file', flow: 'engineering', thread: 'notes', nick: 'Ben', file: releaseNotes },
    {
      at: at(5, 13.1),
      kind: 'file',
      flow: 'engineering',
      thread: 'tags',
      nick: 'Dina',
      file: plot('tags.svg', 'Messages by tag', [21, 12, 9, 7, 6, 4]),
    },
    {
      at: at(2, 9.9),
      kind: 'file',
      flow: 'engineering',
      thread: 'load',
      nick: 'Dina',
      file: plot('load-test.svg', 'Latency by subscribers, ms', [6, 6, 7, 7, 7, 8]),
    },
  ]
  return [...spoken, ...files, ...items.flatMap((item) => stepsOf(item, at)), ...builds(at)].sort(
    (one, other) => one.at - other.at,
  )
}

function messagesOf([flow, day, hour, ...lines]: Talk, begin: number): DemoEvent[] {
  return lines.map(([nick, text, ...likes], index) => ({
    ...{ at: begin + (index * 4 + ((index * index) % 3)) * minuteMs, kind: 'message', flow },
    ...{ thread: `${day}/${hour}`, nick, text, likes },
  }))
}

function stepsOf(
  [flow, source, key, title, ...steps]: Item,
  at: (day: number, hour: number) => number,
): DemoEvent[] {
  return steps.map(([day, hour, author, action, value, comment]) => ({
    ...{ at: at(day, hour), kind: 'item', flow, source, thread: key },
    item: {
      ...{ title, author, action, status: { color: states[value], value } },
      ...(comment === undefined ? {} : { comment }),
    },
  }))
}

/** One build each night. A failure is repaired in the morning. */
function builds(at: (day: number, hour: number) => number): DemoEvent[] {
  return Array.from({ length: demoDays - 1 }, (_, index) => demoDays - 1 - index).flatMap((day) => {
    const title = `Nightly build ${400 - day}`
    const item = (hour: number, value: 'passed' | 'failed', comment?: string): DemoEvent => ({
      ...{ at: at(day, hour), kind: 'item', flow: 'engineering', source: 'Build server', thread: title },
      item: {
        ...{
          title,
          author: 'Build server',
          action: value,
          status: { color: value === 'passed' ? 'green' : 'red', value },
        },
        ...(comment === undefined ? {} : { comment }),
      },
    })
    const failure = failures[day]
    return failure === undefined
      ? [item(2, 'passed')]
      : [item(2, 'failed', `<p>${failure}</p>`), item(8.5, 'passed')]
  })
}

function plot(name: string, title: string, values: readonly number[]): DemoFile {
  const highest = Math.max(...values)
  const bars = values.map((value, index) => {
    const height = Math.round((value / highest) * 80)
    return `<rect x="${20 + index * 40}" y="${130 - height}" width="28" height="${height}"/>`
  })
  return {
    ...{ name, type: 'image/svg+xml' },
    bytes: Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="150" font-family="sans-serif" font-size="14">' +
        `<text x="20" y="25" fill="#112">${title}</text><g fill="#46a">${bars.join('')}</g>` +
        '<path d="M10 130h300" stroke="#334"/></svg>',
    ),
  }
}

const releaseNotes: DemoFile = {
  ...{ name: 'release-notes-2.4.md', type: 'text/markdown' },
  bytes: Buffer.from(
    '# Release 2.4\n\n- Live queries resume after a break.\n- Messages are counted by author.\n- Larger fonts on the screens.\n',
  ),
}
