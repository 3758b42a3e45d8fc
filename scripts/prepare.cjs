// Runs after each `npm ci`, on any version of Node.js: builds GraphiQL where its packages are installed.
const { spawnSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const { join } = require('node:path')

const root = join(__dirname, '..')
if (!existsSync(join(root, 'node_modules/graphiql'))) {
  console.log('GraphiQL is not built: its packages are devDependencies, which are left out.')
} else {
  const { status } = spawnSync('node', [join(__dirname, 'build-graphiql.ts')], { stdio: 'inherit' })
  process.exit(status === null ? 1 : status)
}
