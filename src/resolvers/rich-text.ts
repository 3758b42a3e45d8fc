import shortcodes from 'emojibase-data/en/shortcodes/github.json' with { type: 'json' }
import { LinkifyIt } from 'linkify-it'
import sanitizeHtml from 'sanitize-html'

/** A part of a message: what a user typed, or HTML that an integration or a mail program wrote. */
export interface Part {
  readonly format: 'plain' | 'html'
  readonly source: string
}

/** Longer sources are cut: 100 messages take a second at most. In characters. */
const maxSourceLength = 16_384

/** Names without colons, such as `rocket`, to the characters of the emoji. */
const emojiByName = new Map(
  Object.entries(shortcodes).flatMap(([hexcode, names]) => {
    const character = String.fromCodePoint(...hexcode.split('-').map((code) => Number.parseInt(code, 16)))
    // [spec] UTS 51: characters such as U+2764 are shown without color unless U+FE0F follows.
    const emoji = /^[^\p{Emoji_Presentation}]$/u.test(character) ? `${character}\uFE0F` : character
    return [names].flat().map((name) => [name, emoji] as const)
  }),
)
/** Not inside of words: "10:100:3" has no emoji. */
const shortcodePattern = /(?<![\p{L}\p{N}_]):([a-z0-9_+-]{1,50}):(?![\p{L}\p{N}_])/giu

/** Only `http:`, `https:` and `mailto:` become links: a `javascript:` URL would run in the page of the reader. */
const linkify = new LinkifyIt().add('ftp:', null).add('//', null)
const linkAttributes = 'rel="nofollow noopener noreferrer"'

const blockTags = [
  ...[
    'blockquote',
    'dd',
    'div',
    'dl',
    'dt',
    'h1',
    'h2',
    'h3',
    'h4',
    'h5',
    'h6',
    'hr',
    'li',
    'ol',
    'p',
    'pre',
  ],
  ...['table', 'tbody', 'tfoot', 'thead', 'tr', 'ul'],
]
const inlineTags = [
  ...['a', 'abbr', 'b', 'br', 'cite', 'code', 'del', 'em', 'i', 'ins', 'kbd', 'q', 's', 'small', 'span'],
  ...['strike', 'strong', 'sub', 'sup', 'td', 'th', 'tt', 'u', 'var'],
]

/** The words of a message, without markup. */
export function toText(parts: readonly Part[]): string {
  return parts
    .map(({ format, source }) =>
      format === 'plain' ? replaceShortcodes(shorten(source)) : textOfSafeHtml(sanitize(source)),
    )
    .filter((text) => text !== '')
    .join('\n')
}

/** A message as HTML that can be put into a page: markup comes only from `inlineTags` and `blockTags`. */
export function toHtml(parts: readonly Part[]): string {
  const blocks = parts
    .map(({ format, source }) => (format === 'plain' ? plainToHtml(shorten(source)) : sanitize(source)))
    .filter((html) => html !== '')
  return blocks.length > 1 ? blocks.map((html) => `<div>${html}</div>`).join('') : blocks.join('')
}

function shorten(source: string): string {
  // A cut never leaves half of a surrogate pair.
  return source.length > maxSourceLength
    ? source.slice(0, maxSourceLength).replace(/[\uD800-\uDBFF]$/, '')
    : source
}

function replaceShortcodes(text: string): string {
  return text.replace(
    shortcodePattern,
    (written, name: string) => emojiByName.get(name.toLowerCase()) ?? written,
  )
}

/** Every character of the text passes through `escapeHtml`, also those of links. */
function plainToHtml(text: string): string {
  let html = ''
  let end = 0
  const words = (part: string) => escapeHtml(replaceShortcodes(part)).replace(/\r?\n/g, '<br>')
  for (const { index, lastIndex, url, raw } of linkify.match(text) ?? []) {
    html += `${words(text.slice(end, index))}<a href="${escapeHtml(url)}" ${linkAttributes}>${escapeHtml(raw)}</a>`
    end = lastIndex
  }
  return html + words(text.slice(end))
}

function sanitize(source: string): string {
  return sanitizeHtml(shorten(source), {
    allowedTags: [...blockTags, ...inlineTags],
    allowedAttributes: {
      a: ['href', 'title', 'rel'],
      td: ['colspan', 'rowspan'],
      th: ['colspan', 'rowspan'],
    },
    allowedSchemes: ['http', 'https', 'mailto'],
    allowProtocolRelative: false,
    nestingLimit: 32,
    transformTags: {
      a: (tagName, { href, title }) => {
        const url = href === undefined ? undefined : absoluteUrl(href)
        return {
          tagName,
          attribs: {
            ...(url === undefined ? {} : { href: url, rel: 'nofollow noopener noreferrer' }),
            ...(title === undefined ? {} : { title }),
          },
        }
      },
    },
    textFilter: replaceShortcodes,
  }).trim()
}

const textPatterns = {
  /** Where a line ends: after a line break, and where a block begins or ends. */
  lineEnds: new RegExp(`<br />|</?(?:${blockTags.join('|')})(?: [^<>]*)?>`, 'g'),
  cellEnds: /<\/t[dh]>/g,
  tags: /<[^<>]*>/g,
  entities: /&(amp|lt|gt|quot);/g,
}
const characters: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"' }

/**
 * A relative URL would lead to a page of the client, and `https:/logout` is relative in a page of that scheme. So the URL
 * is written out. [spec] WHATWG URL, "special relative or authority state"
 */
function absoluteUrl(href: string): string | undefined {
  if (!URL.canParse(href)) return undefined
  const url = new URL(href)
  return /^(https?|mailto):$/.test(url.protocol) ? url.href : undefined
}

/** Of HTML that `sanitize` wrote: a "<" or ">" in it is always that of a tag. */
function textOfSafeHtml(html: string): string {
  return html
    .replace(/\s+/g, ' ')
    .replace(textPatterns.lineEnds, '\n')
    .replace(textPatterns.cellEnds, ' ')
    .replace(textPatterns.tags, '')
    .replace(/ ?\n[ \n]*/g, '\n')
    .trim()
    .replace(textPatterns.entities, (_, name: string) => characters[name] ?? '')
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
