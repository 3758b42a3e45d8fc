import { isUnreadMark, maxCharacters, maxEntries } from '../bounds.ts'

/**
 * The tags that come from the text of a message: hashtags, mentions, links. The rules are those of Flowdock's own parser
 * ([flowdock] flowdock-text 1.2, extract.yml). Every pattern is linear in the length of the text.
 */

/** A user who can be mentioned. */
export interface Mentionable {
  readonly id: number
  readonly nick: string
}

/** Whether a nick is a name that mentions several users. */
export function isGroupName(nick: string): boolean {
  const name = nick.normalize().toLowerCase()
  return name === 'here' || groupTags.has(name)
}

/** Mentions of groups: the word in the text, and its tag. */
const groupTags = new Map([
  ['team', ':user:team'],
  ...['everyone', 'everybody', 'all', 'anyone', 'anybody'].map((name) => [name, ':user:everyone'] as const),
])

/** Letters, marks and digits, except marks that turn the preceding character into an emoji, as in a keycap. */
const word = '[[\\p{L}\\p{M}\\p{N}_]--[\\uFE00-\\uFE0F\\p{Me}]]'
/** Not preceded by a word character, "/" or "&"; not followed by another "#" or by "://". */
const hashtagPattern = new RegExp(
  `(?<![${word}\\/\\&])[\\#＃]([${word}\\-]+)(?![\\#＃${word}\\-]|:\\/\\/)`,
  'gv',
)
const mentionPattern = new RegExp(
  `(?<![${word}\\/\\&])@([${word}\\-]+(?:\\.[${word}\\-]+)*)(?![\\#＃\\@${word}\\-]|\\.[${word}\\-]|:\\/\\/)`,
  'gv',
)
const wordPattern = new RegExp(`${word}[${word}.\\-]*`, 'gv')
/** The same in ASCII, where it takes a third of the time. */
const asciiWordPattern = /\w[\w.-]*/g
const linkPattern = /(?<![\p{L}\p{N}_@/#$.])https?:\/\/([^\s/?#:,;!'"()<>]{1,255})/giu
/** What may follow the host of a link: a port, and then a path or a query. */
const portPattern = /(?::\d{1,5})?(?=[/?])/y
/** Characters of a path and a query, and those after which an "@" belongs to the link. Parentheses are counted. */
const linkCharacter = /[\p{L}\p{M}\p{N}!*';:=+,.$/%#[\]\-_~|&?]/u
const linkEnding = /[\p{L}\p{M}\p{N}+\-=_#/)@]/u
const hostLabelPattern = /^[^\p{P}](?:[^\s]{0,61}[^\p{P}])?$/u
const emailPattern = /[a-z0-9_+-]@[a-z0-9-]{1,63}\.[a-z]{2}/i
const domainPattern =
  /(?<![\p{L}\p{N}_@/#$.-])(?:[\p{L}\p{N}](?:[\p{L}\p{N}_-]{0,61}[\p{L}\p{N}])?\.){1,8}(\p{L}[\p{L}\p{M}]{1,12}(?![\p{L}\p{N}@]))/giu
/** Top-level domains of links without a protocol: those of Flowdock's own parser. */
const topLevelDomains = new Set(
  (
    'academy actor aero agency arpa asia bar bargains berlin best bid bike biz blue boutique build ' +
    'builders buzz cab camera camp cards careers cat catering center ceo cheap christmas cleaning ' +
    'clothing club codes coffee com community company computer construction contractors cool coop cruises ' +
    'dance dating democrat diamonds directory domains edu education email enterprises equipment estate ' +
    'events expert exposed farm fish flights florist foundation futbol gallery gift glass gov graphics ' +
    'guitars guru holdings holiday house immobilien industries info institute int international jobs ' +
    'kaufen kim kitchen kiwi koeln kred land lighting limo link luxury management mango marketing menu ' +
    'mil mobi moda monash museum nagoya name net neustar ninja okinawa onl org partners parts photo ' +
    'photography photos pics pink plumbing post pro productions properties pub qpon recipes red rentals ' +
    'repair report reviews rich ruhr sexy shiksha shoes singles social solar solutions supplies supply ' +
    'support systems tattoo technology tel tienda tips today tokyo tools training travel uno vacations ' +
    'ventures viajes villas vision vote voting voto voyage wang watch wed wien wiki works local xxx xyz ' +
    'zone дети онлайн орг сайт بازار شبكة みんな 中信 中文网 公司 公益 在线 我爱你 政务 游戏 移动 网络 集团 삼성 ac ad ae af ag ai al ' +
    'am an ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw by bz ca ' +
    'cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et eu fi ' +
    'fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il ' +
    'im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ' +
    'ma mc md me mf mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr ' +
    'nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk ' +
    'sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tp tr tt tv tw tz ua ug uk um ' +
    'us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw мон рф срб укр қаз الاردن الجزائر السعودية المغرب ' +
    'امارات ایران بھارت تونس سودان سورية عمان فلسطين قطر مصر مليسيا پاکستان भारत বাংলা ভারত ਭਾਰਤ ભારત ' +
    'இந்தியா இலங்கை சிங்கப்பூர் భారత్ ලංකා ไทย გე 中国 中國 台湾 台灣 新加坡 香港 한국'
  ).split(' '),
)
/** The longest link. The rest of a longer one is read as text. */
const maxLinkLength = 4096

/** The hashtags of a text, without "#", in order. Lines quoted by four spaces and links are left out. */
export function extractHashtags(text: string): string[] {
  return text.includes('#') || text.includes('＃') ? outsideLinks(text, hashtagPattern) : []
}

/** The mentions of a text, without "@", in order. Lines quoted by four spaces and links are left out. */
export function extractMentions(text: string): string[] {
  return text.includes('@') ? outsideLinks(text, mentionPattern) : []
}

function outsideLinks(text: string, pattern: RegExp): string[] {
  return matchesOutsideLinks(withoutQuotes(text), pattern).map((match) => match[1] as string)
}

function matchesOutsideLinks(text: string, pattern: RegExp): RegExpExecArray[] {
  const matches = [...text.matchAll(pattern)]
  if (matches.length === 0) return []
  const links = findLinks(text)
  if (links.length === 0) return matches
  let next = 0
  return matches.filter((match) => {
    while (next < links.length && (links[next] as Span).end <= match.index) next += 1
    return next === links.length || (links[next] as Span).start > match.index
  })
}

interface Span {
  readonly start: number
  readonly end: number
}

/** Whether a text may have a link: all of them have a protocol or a domain with a dot. It takes much less time than finding them. */
function mayHaveLinks(text: string): boolean {
  return text.includes('.') || text.includes('://')
}

/** The positions of the links of a text, in order. */
function findLinks(text: string): Span[] {
  const links: Span[] = []
  if (!mayHaveLinks(text)) return links
  const take = (match: RegExpMatchArray & { index: number }) => {
    // A link that begins in another one is a part of it.
    const last = links.at(-1)
    if (last !== undefined && match.index < last.end) return
    links.push({ start: match.index, end: endOfLink(text, match.index + match[0].length) })
  }
  const hosts = [...text.matchAll(linkPattern)].filter((match) => isHost(match[1] as string))
  const domains = [...text.matchAll(domainPattern)].filter((match) => isTopLevelDomain(match[1] as string))
  for (const match of [...hosts, ...domains].sort((a, b) => a.index - b.index)) take(match)
  return links
}

/** @param position after the host */
function endOfLink(text: string, position: number): number {
  portPattern.lastIndex = position
  const port = portPattern.exec(text)
  if (port === null) return position
  let end = position + port[0].length
  let depth = 0
  let before = ''
  for (const character of text.slice(end, end + maxLinkLength)) {
    if (character === '(') depth += 1
    else if (character === ')') depth -= 1
    const isPart =
      character === '@'
        ? linkEnding.test(before)
        : character === '(' || character === ')'
          ? depth >= 0
          : linkCharacter.test(character)
    if (!isPart) break
    end += character.length
    before = character
  }
  return end
}

/** Whether a text has a link or an e-mail address. */
export function hasLink(text: string): boolean {
  if (!mayHaveLinks(text)) return false
  if (emailPattern.test(withoutQuotes(text))) return true
  for (const match of text.matchAll(linkPattern)) if (isHost(match[1] as string)) return true
  for (const match of text.matchAll(domainPattern)) {
    if (isTopLevelDomain(match[1] as string)) return true
  }
  return false
}

function isTopLevelDomain(name: string): boolean {
  return topLevelDomains.has(name.toLowerCase())
}

/**
 * The tags of a new message: first the given ones, then those of its text, each once.
 *
 * @param given the tags of the sender, resolved by `resolveTag`
 * @param members the users who can be mentioned, without disabled ones
 * @param sender the message is never unread for its sender
 */
export function messageTags(
  given: readonly string[],
  text: string,
  members: readonly Mentionable[],
  sender: number,
): string[] {
  const tags = withTextTags(given, text, members)
  const marked = mentionedUsers(tags, members).filter((id) => id !== sender)
  const marks = marked.slice(0, maxEntries.unread).map((id) => `:unread:${id}`)
  return [...new Set([...tags, ...marks])]
}

/** The first of the tags that differ in case only. [flowdock] tags.md: tags have no case, and are stored as they are written */
export function distinctTags(tags: readonly string[]): string[] {
  const known = new Set<string>()
  return tags.filter((tag) => known.size < known.add(tag.toLowerCase()).size)
}

/** Given tags, and those of a text as far as the bound on tags allows; each once, in whatever case. */
export function withTextTags(
  given: readonly string[],
  text: string,
  members: readonly Mentionable[],
): string[] {
  const tags = distinctTags(given)
  const known = new Set(tags.map((tag) => tag.toLowerCase()))
  let left = maxEntries.tags - tags.filter((tag) => !isUnreadMark(tag)).length
  for (const tag of textTags(text, members)) {
    if (left <= 0) break
    const lower = tag.toLowerCase()
    if (known.has(lower) || tag.length > maxCharacters.tag) continue
    known.add(lower)
    tags.push(tag)
    left -= 1
  }
  return tags
}

/**
 * Updates the unread marks after tags changed: users who are no longer mentioned lose their mark, and users who are mentioned
 * now, and were not before, get one.
 *
 * @param readers the author of the message and the user who changed it, for whom it is not unread
 */
export function followUnread(
  before: readonly string[],
  after: readonly string[],
  members: readonly Mentionable[],
  readers: readonly number[],
): string[] {
  const isEverybody = after.includes(':user:everyone')
  const isMentioned = (id: string) => isEverybody || after.includes(`:user:${id}`)
  const tags = new Set(
    after.filter((tag) => !tag.startsWith(':unread:') || isMentioned(tag.slice(':unread:'.length))),
  )
  const known = new Set(mentionedUsers(before, members))
  const added = mentionedUsers([...tags], members).filter((id) => !known.has(id) && !readers.includes(id))
  for (const id of added.slice(0, maxEntries.unread)) tags.add(`:unread:${id}`)
  return [...tags]
}

/** The tags of a text, in composed form (NFC): hashtags, mentions, nicks without "@", links. */
export function textTags(written: string, members: readonly Mentionable[]): string[] {
  const text = written.normalize()
  const tags = new Set(extractHashtags(text))
  const nicks = nicksOf(members)
  for (const mention of extractMentions(text)) {
    const tag = mentionTag(nicks, mention)
    if (tag !== undefined) tags.add(tag)
  }
  for (const id of nickedIn(text, nicks)) if (!tags.has(`:user:${id}`)) tags.add(`:highlight:${id}`)
  if (hasLink(text)) tags.add(':url')
  return [...tags]
}

/** The users whose nicks are words of a text, in the order of the members. */
function nickedIn(text: string, nicks: Nicks): number[] {
  const found = new Set<Nicked>()
  for (const written of wordsOutsideLinks(text)) {
    const lower = written.toLowerCase()
    const whole = lower.replace(/(?<![.-])[.-]+$/, '')
    for (const each of nicks.get(whole) ?? []) found.add(each)
    // "joe.smith." names "joe.smith", and "joe" by itself.
    if (whole.includes('.') || whole.includes('-'))
      for (const part of whole.split(/[.-]/)) for (const each of nicks.get(part) ?? []) found.add(each)
  }
  return [...found].sort((a, b) => a.position - b.position).map(({ id }) => id)
}

function wordsOutsideLinks(text: string): readonly string[] {
  if (mayHaveLinks(text)) return matchesOutsideLinks(text, wordPattern).map(([word]) => word)
  return text.match(isAscii(text) ? asciiWordPattern : wordPattern) ?? []
}

function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern is that of ASCII
  return /^[\x00-\x7f]*$/.test(text)
}

/** Whether a tag that a user wrote mentions someone: then `resolveTag` needs the members. */
export function namesUser(written: string): boolean {
  return written.trim().normalize().startsWith('@')
}

/** The stored form of a tag that a user wrote ("#tag", "@nick", "tag"). Undefined for an unknown nick. */
export function resolveTag(written: string, members: readonly Mentionable[]): string | undefined {
  const tag = written.trim().normalize()
  if (tag.startsWith('@')) return mentionTag(nicksOf(members), tag.slice(1))
  return tag.startsWith('#') ? tag.slice(1) : tag
}

/** After a protocol any host is valid: a name without dots, an IP address, an unknown domain. */
function isHost(text: string): boolean {
  const labels = text.replace(/(?<![.…])[.…]+$/, '').split('.')
  const [top = '', domain = ''] = labels.toReversed()
  const isNumeric = /^\d+$/.test(top)
  return (
    labels.every((label) => hostLabelPattern.test(label)) &&
    !`${domain}.${top}`.includes('_') &&
    (labels.length === 1 || isNumeric || top.length > 1)
  )
}

interface Nicked {
  readonly id: number
  /** The place in the list of members. */
  readonly position: number
}

/** Users by their nicks in lower case. Several users may have nicks that differ only in case. */
type Nicks = ReadonlyMap<string, readonly Nicked[]>

/** The nicks of lists of members, each of which is used for many messages. */
const knownNicks = new WeakMap<readonly Mentionable[], Nicks>()

function nicksOf(members: readonly Mentionable[]): Nicks {
  let nicks = knownNicks.get(members)
  if (nicks === undefined) {
    const nicked = members.map(({ id, nick }, position) => ({
      id,
      position,
      lower: nick.normalize().toLowerCase(),
    }))
    nicks = Map.groupBy(nicked, ({ lower }) => lower)
    knownNicks.set(members, nicks)
  }
  return nicks
}

/**
 * The tag of a mention. Groups take precedence over members. Of members whose nicks differ only in case, the one with the lowest
 * id is mentioned, so that later users cannot take over mentions.
 */
function mentionTag(nicks: Nicks, name: string): string | undefined {
  const lower = name.normalize().toLowerCase()
  const group = groupTags.get(lower)
  const nicked = nicks.get(lower)
  if (group !== undefined || nicked === undefined) return group
  return `:user:${Math.min(...nicked.map(({ id }) => id))}`
}

/** [flowdock] message-tags: `:unread:ID` for each mentioned user and everyone; `@team` never had it. */
function mentionedUsers(tags: readonly string[], members: readonly Mentionable[]): number[] {
  if (!tags.some((tag) => tag.startsWith(':user:'))) return []
  const present = new Set(tags)
  const everyone = present.has(':user:everyone')
  return members.map(({ id }) => id).filter((id) => everyone || present.has(`:user:${id}`))
}

function withoutQuotes(text: string): string {
  if (!text.includes('    ')) return text
  return text
    .split('\n')
    .filter((line) => !line.startsWith('    '))
    .join('\n')
}
