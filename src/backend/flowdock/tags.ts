import { isUnreadMark, maxCharacters, maxEntries } from '../bounds.ts'

/**
 * What a message's text says about it: hashtags, mentions, links. The rules are those of Flowdock's own parser
 * ([flowdock] flowdock-text 1.2, extract.yml). Every pattern is linear in the length of the text.
 */

/** Somebody who can be mentioned. */
export interface Mentionable {
  readonly id: number
  readonly nick: string
}

/** Mentions of groups: what people write, and the tag it becomes. */
const groupTags = new Map([
  ['team', ':user:team'],
  ...['everyone', 'everybody', 'all', 'anyone', 'anybody'].map((name) => [name, ':user:everyone'] as const),
])

const word = '\\p{L}\\p{M}\\p{N}_'
/** Not preceded by a word character, "/" or "&"; not followed by another "#" or by "://". */
const hashtagPattern = new RegExp(`(?<![${word}/&])[#＃]([${word}-]+)(?![#＃${word}-]|://)`, 'gu')
const mentionPattern = new RegExp(
  `(?<![${word}/&])@([${word}-]+(?:\\.[${word}-]+)*)(?![#＃@${word}-]|://)`,
  'gu',
)
const wordPattern = new RegExp(`[${word}][${word}.-]*`, 'gu')
const linkPattern = /(?<![\p{L}\p{N}_@/#$.])https?:\/\/([^\s/?#:,;!'"()<>]{1,255})/giu
const hostLabelPattern = /^[^\p{P}](?:[^\s]{0,61}[^\p{P}])?$/u
const emailPattern = /[a-z0-9_+-]@[a-z0-9-]{1,63}\.[a-z]{2}/i
const domainPattern =
  /(?<![\p{L}\p{N}_@/#$.-])(?:[\p{L}\p{N}](?:[\p{L}\p{N}_-]{0,61}[\p{L}\p{N}])?\.){1,8}([a-z]{2,6})(?![\p{L}\p{N}@])/giu
const genericDomains = new Set(
  'com net org edu gov mil int info biz name pro aero asia cat coop jobs mobi museum tel travel xxx'.split(
    ' ',
  ),
)
const countryDomains = new Set(
  (
    'ac ad ae af ag ai al am an ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw by bz ' +
    'ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ' +
    'ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm ' +
    'jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq ' +
    'mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa ' +
    're ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to ' +
    'tp tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw'
  ).split(' '),
)

/** The hashtags of a text, without "#", in order. Lines quoted by four spaces are left out. */
export function extractHashtags(text: string): string[] {
  return [...withoutQuotes(text).matchAll(hashtagPattern)].map((match) => match[1] as string)
}

/** The mentions of a text, without "@", in order. Lines quoted by four spaces are left out. */
export function extractMentions(text: string): string[] {
  return [...withoutQuotes(text).matchAll(mentionPattern)].map((match) => match[1] as string)
}

/** Whether a text has a link or an e-mail address. */
export function hasLink(text: string): boolean {
  if (emailPattern.test(withoutQuotes(text))) return true
  for (const match of text.matchAll(linkPattern)) if (isHost(match[1] as string)) return true
  for (const match of text.matchAll(domainPattern)) {
    const top = (match[1] as string).toLowerCase()
    if (genericDomains.has(top) || countryDomains.has(top)) return true
  }
  return false
}

/**
 * The tags of a new message: the given ones first, then those its text tells, each once.
 *
 * @param given as the sender wrote them, resolved by `resolveTag`
 * @param members who can be mentioned; disabled members left out by the caller
 * @param sender is never marked unread to themselves
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

/** Tags and those that a text tells, each once: of the text's own as many as there is room for. */
export function withTextTags(
  given: readonly string[],
  text: string,
  members: readonly Mentionable[],
): string[] {
  const tags = new Set(given)
  let left = maxEntries.tags - given.filter((tag) => !isUnreadMark(tag)).length
  for (const tag of textTags(text, members)) {
    if (left <= 0) break
    if (tags.has(tag) || tag.length > maxCharacters.tag) continue
    tags.add(tag)
    left -= 1
  }
  return [...tags]
}

/** The tags a text alone tells: hashtags, mentions, nicks named without "@", links. */
export function textTags(text: string, members: readonly Mentionable[]): string[] {
  const tags = new Set(extractHashtags(text))
  const tagOf = mentionTags(members)
  for (const mention of extractMentions(text)) {
    const tag = tagOf(mention)
    if (tag !== undefined) tags.add(tag)
  }
  const words = new Set([...text.matchAll(wordPattern)].flatMap((match) => wordForms(match[0])))
  for (const { id, nick } of members) {
    if (words.has(nick.toLowerCase()) && !tags.has(`:user:${id}`)) tags.add(`:highlight:${id}`)
  }
  if (hasLink(text)) tags.add(':url')
  return [...tags]
}

/** A tag as people write it ("#tag", "@nick", "tag") as it is stored; undefined for a mention of nobody. */
export function resolveTag(written: string, members: readonly Mentionable[]): string | undefined {
  const tag = written.trim()
  if (tag.startsWith('@')) return mentionTags(members)(tag.slice(1))
  return tag.startsWith('#') ? tag.slice(1) : tag
}

/** Behind a protocol any host will do: a name without dots, an address, a domain nobody has heard of. */
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

/** The tag of each mention. A nick in the same case goes first; of several that are equal, the first member. */
function mentionTags(members: readonly Mentionable[]): (name: string) => string | undefined {
  const byNick = new Map<string, number>()
  const byLowerCase = new Map<string, number>()
  for (const { id, nick } of members) {
    if (!byNick.has(nick)) byNick.set(nick, id)
    const lower = nick.toLowerCase()
    if (!byLowerCase.has(lower)) byLowerCase.set(lower, id)
  }
  return (name) => {
    const lower = name.toLowerCase()
    const id = byNick.get(name) ?? byLowerCase.get(lower)
    return id === undefined ? groupTags.get(lower) : `:user:${id}`
  }
}

/** [flowdock] message-tags: `:unread:ID` for each mentioned user and everyone; `@team` never had it. */
function mentionedUsers(tags: readonly string[], members: readonly Mentionable[]): number[] {
  const present = new Set(tags)
  const everyone = present.has(':user:everyone')
  return members.map(({ id }) => id).filter((id) => everyone || present.has(`:user:${id}`))
}

function withoutQuotes(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('    '))
    .join('\n')
}

/** "joe.smith." names "joe.smith", and "joe" by itself. */
function wordForms(match: string): string[] {
  const trimmed = match.toLowerCase().replace(/(?<![.-])[.-]+$/, '')
  return [trimmed, ...trimmed.split(/[.-]/)]
}
