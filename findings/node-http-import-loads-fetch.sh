#!/usr/bin/env bash
# Node.js 26.10.0: `import { createServer } from 'node:http'` loads and evaluates the whole of fetch()
#
# Documented: nothing says so. node:http has WebSocket, CloseEvent and MessageEvent as getters, so that the bundled
#   undici is loaded by programs that use them only.
# Seen: an ES module's import of a built-in module reads every export to fill its bindings, the getters too: internal/deps/undici
#   and internal/webstreams are loaded, although nothing uses them. require('node:http') and
#   process.getBuiltinModule('node:http') do not load them. A default import loads them as well.
# Matters: of a process that only starts a server the import is more than half of the CPU time (the script prints the time it
#   takes here). Command-line tools and functions that start often take the module by process.getBuiltinModule(),
#   or let their bundler do so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > imported.mjs <<'JS'
import { createServer } from 'node:http'
globalThis.server = createServer()
JS
cat > default.mjs <<'JS'
import http from 'node:http'
globalThis.server = http.createServer()
JS
cat > got.mjs <<'JS'
globalThis.server = process.getBuiltinModule('node:http').createServer()
JS
cat > required.cjs <<'JS'
globalThis.server = require('node:http').createServer()
JS
cat > report.cjs <<'JS'
process.on('exit', () => {
  const { user, system } = process.cpuUsage()
  const isLoaded = process.moduleLoadList.includes('NativeModule internal/deps/undici/undici')
  console.log(JSON.stringify({ isLoaded, milliseconds: (user + system) / 1000 }))
})
JS
cat > check.mjs <<'JS'
import { execFileSync } from 'node:child_process'

const seen = {}
for (const file of ['imported.mjs', 'default.mjs', 'got.mjs', 'required.cjs']) {
  const runs = Array.from({ length: 5 }, () =>
    JSON.parse(execFileSync(process.execPath, ['--require', './report.cjs', file], { encoding: 'utf8' })),
  ).sort((a, b) => a.milliseconds - b.milliseconds)
  seen[file] = { 'fetch is loaded': runs[0].isLoaded, 'CPU in ms': Math.round(runs[2].milliseconds) }
}
console.log('expected: false on every line; nothing uses fetch')
console.table(seen)
const loaded = Object.values(seen).map((each) => each['fetch is loaded'])
const same = JSON.stringify(loaded) === '[true,true,false,false]'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 50 node_modules/.bin/node check.mjs
