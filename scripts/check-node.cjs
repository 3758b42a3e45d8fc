// Runs on any version of Node.js, so it is CommonJS and uses nothing new.
const { engines } = require('../package.json')

const needed = Number(/\d+/.exec(engines.node)[0])
if (Number.parseInt(process.versions.node, 10) < needed) {
  console.error(
    `This needs Node.js ${needed} or newer; ${process.version} was found. ` +
      'Without --omit=dev, `npm ci` installs a version that works.',
  )
  process.exit(1)
}
