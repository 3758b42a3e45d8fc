import { explorerPlugin } from '@graphiql/plugin-explorer'
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql'
import { createClient } from 'graphql-ws'
import { createElement, useSyncExternalStore } from 'react'
import { createRoot } from 'react-dom/client'
import 'graphiql/style.css'
import '@graphiql/plugin-explorer/style.css'

// `WORKERS` is put in by the build: the addresses of Monaco's workers by the language they serve.
globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(WORKERS[label] ?? WORKERS.editor, { type: 'module' }),
}

const settings = JSON.parse(document.getElementById('settings').textContent)
const headers = JSON.stringify(settings.headers, undefined, 2)
const endpoint = new URL('/graphql', location.href)
const socket = new URL(endpoint)
socket.protocol = endpoint.protocol.replace('http', 'ws')

/** What becomes of the socket that live queries run over. */
const live = createStore('not connected')
/** The headers of the tab that began to listen: a socket is opened with its credential. */
let liveHeaders = settings.headers

const wsClient = createClient({
  url: socket.href,
  connectionParams: () => liveHeaders,
  shouldRetry: () => true,
  on: {
    connecting: () => live.set('connecting'),
    connected: () => live.set('connected'),
    closed: ({ code }) => live.set(code === 1000 ? 'not connected' : `closed (${code})`),
  },
})

const fetchOnce = createGraphiQLFetcher({
  url: endpoint.href,
  wsClient,
  // Also for tabs restored from the last visit, which come back without their headers.
  headers: settings.headers,
})

const fetcher = (params, options) => {
  liveHeaders = { ...settings.headers, ...options?.headers }
  return fetchOnce(params, options)
}

const liveStyle = { fontSize: '13px', fontWeight: 'normal', whiteSpace: 'nowrap' }

function LiveState() {
  const state = useSyncExternalStore(live.subscribe, live.get)
  return createElement('span', { id: 'live-state', role: 'status', style: liveStyle }, `Live: ${state}`)
}

function createStore(value) {
  const listeners = new Set()
  return {
    get: () => value,
    set(next) {
      value = next
      for (const listener of listeners) listener()
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

createRoot(document.getElementById('graphiql')).render(
  createElement(
    GraphiQL,
    {
      fetcher,
      plugins: [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })],
      defaultTabs: settings.tabs.map((query) => ({ query, headers })),
      defaultHeaders: headers,
      defaultEditorToolsVisibility: 'headers',
    },
    createElement(GraphiQL.Logo, null, createElement(LiveState)),
  ),
)
