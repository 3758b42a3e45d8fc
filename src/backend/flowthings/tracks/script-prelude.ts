/**
 * The program that prepares an interpreter for the function of a track, in the JavaScript of QuickJS. It is a function of
 * `read(name, args)`, which returns JSON, and `write(text)`, which logs. [flowthings] flow.js
 */
export const prelude = `(function (read, write) {
  'use strict'
  var parse = JSON.parse, stringify = JSON.stringify, list = Array.prototype.slice
  function ask(name) {
    return function () {
      return parse(read(name, stringify(list.call(arguments))))
    }
  }
  function log() {
    var texts = list.call(arguments).map(function (value) {
      return typeof value === 'string' ? value : value instanceof Error ? String(value) : String(stringify(value))
    })
    write(texts.join(' '))
  }
  function FlowError(message, details) {
    this.message = String(message)
    this.details = details
  }
  FlowError.prototype = Object.create(Error.prototype)
  FlowError.prototype.constructor = FlowError
  FlowError.prototype.name = 'Flow.Error'
  var find = ask('Drop.find')
  globalThis.Flow = {
    Drop: {
      find: find,
      findOne: function (flow, options) {
        var found = find(flow, Object.assign({}, options, { limit: 1 }))
        return found.length === 0 ? null : found[0]
      },
      findFHash: ask('Drop.findFHash'),
      get: ask('Drop.get'),
      aggregate: ask('Drop.aggregate'),
    },
    Flow: { find: ask('Flow.find'), get: ask('Flow.get') },
    Track: { find: ask('Track.find'), get: ask('Track.get') },
    Http: {
      post: function () {
        throw new FlowError('Flow.Http is not available: functions of tracks send no requests')
      },
    },
    Error: FlowError,
  }
  globalThis.log = log
  globalThis.console = { log: log, info: log, warn: log, error: log }
  delete globalThis.eval
  delete globalThis.SharedArrayBuffer
  delete globalThis.Atomics
  return function (run, drop) {
    if (typeof run !== 'function') throw new FlowError('Expected the text to be one function of a drop')
    var returned = stringify(run(parse(drop)))
    return returned === undefined ? 'null' : returned
  }
})`
