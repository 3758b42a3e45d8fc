import { explorerPlugin } from '@graphiql/plugin-explorer'
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql'
import { getOperationAST } from 'graphql'
import { createElement, useSyncExternalStore } from 'react'
import { createRoot } from 'react-dom/client'
import { createLiveClient } from '../../src/client/index.ts'
import 'graphiql/style.css'
import '@graphiql/plugin-explorer/style.css'

// `WORKERS` is put in by the build: the addresses of Monaco's workers by the language they serve.
globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(WORKERS[label] ?? WORKERS.editor, { type: 'module' }),
}

const settings = JSON.parse(document.getElementById('settings').textContent)
keepCredential()
const headers = JSON.stringify(settings.headers, undefined, 2)
const endpoint = new URL('/graphql', location.href)

/**
 * The page comes with a credential for the key in its URL, which works once. It is remembered for this tab alone, so that
 * the page can be loaded again, and the key goes out of the address bar.
 */
function keepCredential() {
  const item = 'flowdock-gateway:authorization'
  const { Authorization } = settings.headers
  if (Authorization !== undefined) sessionStorage.setItem(item, Authorization)
  const known = sessionStorage.getItem(item)
  if (known !== null) settings.headers.Authorization = known
  const url = new URL(location.href)
  if (!url.searchParams.has('key')) return
  url.searchParams.delete('key')
  history.replaceState(null, '', url)
}

/** Where GraphiQL keeps its tabs and history. The history would keep headers, and so tokens, after the tab is closed. */
const storage = {
  get length() {
    return localStorage.length
  },
  getItem: (name) => localStorage.getItem(name),
  setItem(name, value) {
    const leaveOut = (key, member) => (key === 'headers' ? undefined : member)
    const isHistory = /^graphiql:(queries|favorites)$/.test(name)
    localStorage.setItem(name, isHistory ? JSON.stringify(JSON.parse(value), leaveOut) : value)
  },
  removeItem: (name) => localStorage.removeItem(name),
  clear: () => localStorage.clear(),
}

/** How the line is that live queries run over. */
const live = createStore('not connected')
/** One for each credential: a line is opened with it. */
const liveClients = new Map()

function liveClient(authorization) {
  const known = liveClients.get(authorization)
  if (known !== undefined) return known
  const client = createLiveClient({ url: endpoint.href, token: authorization, onStatus: live.set })
  liveClients.set(authorization, client)
  return client
}

/** Goes on by itself where the line was cut, behind the last event whose `cursor` was selected. */
function listen({ query, operationName, variables }, authorization) {
  const results = liveClient(authorization).results({
    query,
    variables,
    ...(operationName == null ? {} : { operationName }),
  })
  const next = results.next.bind(results)
  results.next = () =>
    next().catch((error) => ({
      done: false,
      value: { errors: [{ message: error.message, extensions: { code: error.code } }] },
    }))
  return results
}

const fetchOnce = createGraphiQLFetcher({
  url: endpoint.href,
  // Also for tabs restored from the last visit, which come back without their headers.
  headers: settings.headers,
})

const fetcher = (params, options) => {
  const operation = options?.documentAST && getOperationAST(options.documentAST, params.operationName)
  if (operation?.operation !== 'subscription') return fetchOnce(params, options)
  const headers = new Headers(settings.headers)
  for (const [name, value] of Object.entries(options?.headers ?? {})) headers.set(name, value)
  return listen(params, headers.get('authorization') ?? '')
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
      storage,
      plugins: [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })],
      defaultTabs: settings.tabs.map((query) => ({ query, headers })),
      defaultHeaders: headers,
      defaultEditorToolsVisibility: 'headers',
    },
    createElement(GraphiQL.Logo, null, createElement(LiveState)),
  ),
)
