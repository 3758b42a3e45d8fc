#!/usr/bin/env bash
# busboy 1.6.0 (against @fastify/busboy 3.2.6): a file of exactly the maximum size counts as truncated
#
# Documented: README, limits.fileSize: the maximum file size in bytes; fieldSize: the maximum size of a value. A file of
#   the maximum size is within the maximum; the 'limit' event is described as the sign of a limit that was reached.
# Seen: with fileSize: 5, five bytes arrive whole, and still 'limit' is emitted and `truncated` is true. With
#   fieldSize: 5 a value of five bytes arrives whole with valueTruncated: true. @fastify/busboy, made from the same
#   code, marks only six bytes and more.
# Matters: a server that refuses truncated uploads refuses the largest file it promises, and two servers with the same
#   setting disagree about it. Set the limit one byte higher than the promise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact busboy@1.6.0 @fastify/busboy@3.2.6

cat > check.mjs <<'JS'
import { Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'
import busboy from 'busboy'

const limits = { fileSize: 5, fieldSize: 5 }
const makers = { busboy: (headers) => busboy({ headers, limits }), fastify: (headers) => new Busboy({ headers, limits }) }
const read = (parser, value) =>
  new Promise((resolve) => {
    let [file, field, size] = [false, false, 0]
    parser.on('file', (_, stream) => {
      stream.on('data', ({ length }) => {
        size += length
      })
      stream.on('limit', () => {
        file = true
      })
    })
    // The third argument is an object in one of the two and whether the name is truncated in the other.
    parser.on('field', (_name, _value, info, valueTruncated) => {
      field = typeof info === 'object' ? info.valueTruncated : valueTruncated
    })
    parser.on('finish', () => resolve({ size, 'file truncated': file, 'field truncated': field }))
    const part = (parameters) => `--x\r\nContent-Disposition: form-data; ${parameters}\r\n\r\n${value}\r\n`
    Readable.from([Buffer.from(`${part('name="f"; filename="a.txt"')}${part('name="k"')}--x--\r\n`)]).pipe(parser)
  })
const seen = {}
for (const [name, make] of Object.entries(makers))
  for (const value of ['1234', '12345', '123456'])
    seen[`${name}, ${value.length} bytes`] = await read(make({ 'content-type': 'multipart/form-data; boundary=x' }), value)
console.log('expected: truncated only for 6 bytes (limit: 5)')
console.table(seen)
const isTruncated = (name) => seen[name]['file truncated'] && seen[name]['field truncated']
const same =
  !isTruncated('busboy, 4 bytes') &&
  isTruncated('busboy, 5 bytes') &&
  seen['busboy, 5 bytes'].size === 5 &&
  !isTruncated('fastify, 5 bytes') &&
  isTruncated('fastify, 6 bytes')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
