import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL } from 'graphiql'
import { createElement } from 'react'
import { createRoot } from 'react-dom/client'
import 'graphiql/style.css'

// `WORKERS` is put in by the build: the addresses of Monaco's workers by the language they serve.
globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(WORKERS[label] ?? WORKERS.editor, { type: 'module' }),
}

const settings = JSON.parse(document.getElementById('settings').textContent)
const headers = JSON.stringify(settings.headers, undefined, 2)
const endpoint = new URL('/graphql', location.href)
const socket = new URL(endpoint)
socket.protocol = endpoint.protocol.replace('http', 'ws')

const fetcher = createGraphiQLFetcher({
  url: endpoint.href,
  subscriptionUrl: socket.href,
  // Also for tabs restored from the last visit, which come back without their headers.
  headers: settings.headers,
  wsConnectionParams: settings.headers,
})

createRoot(document.getElementById('graphiql')).render(
  createElement(GraphiQL, {
    fetcher,
    defaultTabs: settings.tabs.map((query) => ({ query, headers })),
    defaultHeaders: headers,
    defaultEditorToolsVisibility: 'headers',
  }),
)
