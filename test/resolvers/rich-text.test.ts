import { expect, test } from 'vitest'
import { type Part, toHtml, toText } from '../../src/resolvers/rich-text.ts'

const plain = (source: string): Part[] => [{ format: 'plain', source }]
const html = (source: string): Part[] => [{ format: 'html', source }]
const link = (url: string) => `<a href="${url}" rel="nofollow noopener noreferrer">${url}</a>`

test.each([
  ['a line break', 'one\ntwo', 'one<br>two'],
  [
    'markup',
    '<b onclick="x()">hi</b> & "\'',
    '&#60;b onclick=&#34;x()&#34;&#62;hi&#60;/b&#62; &#38; &#34;&#39;',
  ],
  ['emoji', 'ship it :rocket: :+1::tada:', 'ship it 🚀 👍🎉'],
  ['an emoji that is shown without color otherwise', ':heart:', '❤\uFE0F'],
  ['what is no emoji', '10:100:3 a:rocket:b :nope:', '10:100:3 a:rocket:b :nope:'],
  ['a link', 'see https://a.example/x_(y).', `see ${link('https://a.example/x_(y)')}.`],
  ['a name of an emoji in a link', 'https://a.example/:rocket:', link('https://a.example/:rocket:')],
  [
    'an address',
    'ask b@c.example',
    'ask <a href="mailto:b@c.example" rel="nofollow noopener noreferrer">b@c.example</a>',
  ],
  [
    'other schemes',
    'javascript:alert(1) ftp://a.example //b.example',
    'javascript:alert(1) ftp://a.example //b.example',
  ],
  [
    'quotes in a link',
    'https://a.example/?q=<script>"x"',
    `${link('https://a.example/?q=')}&#60;script&#62;&#34;x&#34;`,
  ],
])('what a user typed becomes HTML: %s', (_, source, expected) => {
  expect(toHtml(plain(source))).toBe(expected)
})

test.each([
  ['allowed markup', '<p>Hi <b>you</b></p>', '<p>Hi <b>you</b></p>'],
  ['scripts', 'a<script>alert(1)</script><style>p{}</style>b', 'ab'],
  ['handlers', '<p onclick="x()" style="y" class="z">a</p>', '<p>a</p>'],
  ['images and frames', '<img src=x onerror=y><iframe src=z></iframe>a', 'a'],
  [
    'links',
    '<a href="https://a.example/?b&amp;c" target="_blank" onclick="x()">d</a>',
    '<a href="https://a.example/?b&amp;c" rel="nofollow noopener noreferrer">d</a>',
  ],
  ['links to code', '<a href="java&#10;script:alert(1)">a</a>', '<a>a</a>'],
  ['relative links', '<a href="/logout">a</a>', '<a>a</a>'],
  [
    'links that are relative in a page of the same scheme',
    '<a href="https:/a.example/logout">a</a>',
    '<a href="https://a.example/logout" rel="nofollow noopener noreferrer">a</a>',
  ],
  ['tags that are left open', '<div><b>a', '<div><b>a</b></div>'],
  ['tags that were not opened', 'a</div></b>', 'a'],
  ['emoji', '<i>:tada:</i>', '<i>🎉</i>'],
  ['SVG and MathML', '<svg><style><img src=x></style></svg><math><mi>a</mi></math>', 'a'],
  ['comments', 'a<!-- b -->c<![CDATA[d]]>', 'ac'],
])('what an integration wrote is sanitised: %s', (_, source, expected) => {
  expect(toHtml(html(source))).toBe(expected)
})

test('several parts are blocks', () => {
  expect(toHtml([...html('<a>x</a>'), ...plain('y')])).toBe('<div><a>x</a></div><div>y</div>')
  expect(toText([...html('<a>x</a>'), ...html('<p></p>'), ...plain('y')])).toBe('x\ny')
})

test('text has no markup, and keeps line breaks', () => {
  expect(toText(plain('<b>:rocket:</b> &amp;\nx'))).toBe('<b>🚀</b> &amp;\nx')
  expect(toText(html('<p>a <b>b</b>\n c</p><ul><li>1</li><li>&lt;2&gt;</li></ul>d<br>e &amp;lt;'))).toBe(
    'a b c\n1\n<2>\nd\ne &lt;',
  )
  expect(toText(html('<table><tr><th>failed</th><td>1</td></tr><tr><td>a</td><td>b</td></tr></table>'))).toBe(
    'failed 1\na b',
  )
})

test('sources are cut at 16,384 characters, and never inside of one', () => {
  expect(toText(plain(`${'x'.repeat(16_383)}🚀`))).toBe('x'.repeat(16_383))
  expect(toText(plain('x'.repeat(16_384)))).toHaveLength(16_384)
  expect(toText(html(`<p>${'x'.repeat(20_000)}`))).toHaveLength(16_381)
})
