import { explorerPlugin } from '@graphiql/plugin-explorer'
import { pick, useGraphiQL } from '@graphiql/react'
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql'
import { getOperationAST } from 'graphql'
import { createElement, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { createLiveLog } from './live-log.ts'
import { createStore, LivePane, LiveToggle } from './live-pane.js'
import { createLiveSubscriptions } from './live-subscriptions.ts'
import { TokenState } from './token-state.js'
import 'graphiql/style.css'
import '@graphiql/plugin-explorer/style.css'
import './page.css'

// `WORKERS` is put in by the build: the addresses of Monaco's workers by the language they serve.
globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(WORKERS[label] ?? WORKERS.editor, { type: 'module' }),
}

const settings = JSON.parse(document.getElementById('settings').textContent)
keepCredentials()
const headers = JSON.stringify(settings.headers, undefined, 2)
const endpoint = new URL('/graphql', location.href)

/**
 * The page comes with credentials for the key in its URL, which works once. They are remembered for this tab alone, so that
 * the page can be loaded again, and the key goes out of the address bar.
 */
function keepCredentials() {
  const item = 'flowdock-gateway:headers'
  if (Object.keys(settings.headers).length > 0) sessionStorage.setItem(item, JSON.stringify(settings.headers))
  const known = sessionStorage.getItem(item)
  if (known !== null) settings.headers = JSON.parse(known)
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

const log = createLiveLog(500)
const subscriptions = createLiveSubscriptions(endpoint.href, log)
/** Whether the live pane is shown. */
const pane = createStore(false)

// Nothing but the headers of the tab: a credential that was deleted there is not sent.
const fetchOnce = createGraphiQLFetcher({ url: endpoint.href })

const fetcher = (params, options) => {
  const operation = options?.documentAST && getOperationAST(options.documentAST, params.operationName)
  if (operation?.operation !== 'subscription') return fetchOnce(params, options)
  pane.set(true)
  const sent = new Headers(options?.headers)
  const things = ['X-Auth-Account', 'X-Auth-Token'].filter((name) => sent.has(name))
  openView?.detach()
  openView = createView(
    subscriptions.start(
      params,
      sent.get('authorization') ?? '',
      Object.fromEntries(things.map((name) => [name, sent.get(name)])),
    ),
  )
  return openView.responses
}

/** What the open tab shows of a subscription it started. */
let openView
let openTab

/**
 * GraphiQL ends the response of a tab when another tab is opened, just before it calls this function. A subscription is
 * stopped only if its response ends without that.
 */
function onTabChange({ tabs, activeTabIndex }) {
  const id = tabs[activeTabIndex]?.id
  if (id === openTab) return
  openTab = id
  openView?.detach()
  openView = undefined
}

function createView(subscription) {
  const detached = Promise.withResolvers()
  let isDetached = false
  async function* show() {
    yield {
      live: `${subscription.name} is running. Its events are listed in the live pane, whichever tab is open.`,
    }
    const ended = await Promise.race([subscription.ended.then((error) => ({ error })), detached.promise])
    if (ended === undefined) return
    const { error } = ended
    if (error === undefined) yield { live: `${subscription.name} was stopped.` }
    else yield { errors: [{ message: error.message, extensions: { code: error.code } }] }
  }
  const items = show()
  return {
    responses: {
      [Symbol.asyncIterator]: () => ({
        next: () => items.next(),
        async return() {
          queueMicrotask(() => {
            if (!isDetached) subscription.stop()
          })
          return { done: true, value: undefined }
        },
      }),
    },
    /** The subscription runs on without the tab. */
    detach() {
      isDetached = true
      detached.resolve(undefined)
    },
  }
}

/** Shows the tab that is opened, where there are so many that they scroll. */
function OpenTabInView() {
  const { activeTabIndex } = useGraphiQL(pick('activeTabIndex'))
  useEffect(() => {
    document.getElementById(`graphiql-session-tab-${activeTabIndex}`)?.scrollIntoView({ block: 'nearest' })
  }, [activeTabIndex])
  return null
}

createRoot(document.getElementById('graphiql')).render(
  createElement(
    GraphiQL,
    {
      fetcher,
      storage,
      plugins: [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })],
      onTabChange,
      defaultTabs: settings.tabs.map((query) => ({ query, headers })),
      defaultHeaders: headers,
      // Headers hold tokens: the page does not offer to store them.
      shouldPersistHeaders: false,
      defaultEditorToolsVisibility: 'headers',
    },
    createElement(
      GraphiQL.Logo,
      null,
      createElement(TokenState, { demoHeaders: settings.headers, defaultHeaders: headers }),
      createElement(LiveToggle, { subscriptions, pane }),
    ),
    createElement(OpenTabInView),
    createElement(LivePane, { subscriptions, log, pane }),
  ),
)
