import { createElement, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react'
import { createPortal } from 'react-dom'
import { logText } from './live-log.ts'

const states = {
  idle: 'idle',
  connecting: 'connecting…',
  connected: 'connected',
  reconnecting: 'connection lost, reconnecting…',
}

/** A button in the bar of tabs that says whether anything runs, and shows or hides the pane. */
export function LiveToggle({ subscriptions, pane }) {
  const { running, connection } = useStore(subscriptions)
  const isOpen = useStore(pane)
  return createElement(
    'button',
    {
      type: 'button',
      id: 'live-toggle',
      className: 'bar-button',
      'aria-expanded': isOpen,
      title: isOpen ? 'Hide the live pane' : 'Show the live pane',
      onClick: () => pane.set(!isOpen),
    },
    createElement('span', { className: `live-dot ${connection}`, 'aria-hidden': true }),
    createElement('span', { id: 'live-state', role: 'status' }, `Live: ${states[connection]}`),
    running.length > 1 && ` (${running.length})`,
  )
}

/** The subscriptions that run and the log of their events, beside the tabs. */
export function LivePane({ subscriptions, log, pane }) {
  const isOpen = useStore(pane)
  const [container, setContainer] = useState(null)
  // Inside GraphiQL's own element, its colours and fonts apply.
  useEffect(() => setContainer(document.querySelector('.graphiql-container')), [])
  if (container === null || !isOpen) return null
  return createPortal(
    createElement(
      'aside',
      { id: 'live-pane', 'aria-label': 'Live events' },
      createElement(Toolbar, { log, pane }),
      createElement(Running, { subscriptions }),
      createElement(Log, { log, subscriptions }),
    ),
    container,
  )
}

function Toolbar({ log, pane }) {
  const { entries, isPaused, waiting } = useStore(log)
  const [copied, setCopied] = useState(undefined)
  const copy = () => copyText(logText(entries)).then((isDone) => setCopied(isDone ? entries.length : null))
  return createElement(
    'header',
    { className: 'live-toolbar' },
    createElement('h2', null, 'Live'),
    button(
      isPaused ? 'Resume' : 'Pause',
      isPaused ? 'Show the events that came meanwhile, and go on' : 'Hold events back; subscriptions run on',
      () => (isPaused ? log.resume() : log.pause()),
    ),
    button('Copy', 'Copy all events as lines of JSON', copy, entries.length === 0),
    button('Clear', 'Empty the log; subscriptions run on', () => log.clear(), entries.length + waiting === 0),
    button('×', 'Hide the live pane; subscriptions run on', () => pane.set(false)),
    createElement(
      'p',
      { className: 'live-hint', role: 'status' },
      isPaused
        ? `Paused: ${waiting} waiting`
        : copied === null
          ? 'The browser does not allow copying'
          : copied !== undefined && copied === entries.length && `Copied ${copied} lines`,
    ),
  )
}

function Running({ subscriptions }) {
  const { running } = useStore(subscriptions)
  return createElement(
    'ul',
    { className: 'live-running', 'aria-label': 'Running subscriptions' },
    running.map(({ id, name, count, stop }) =>
      createElement(
        'li',
        { key: id },
        createElement('span', { className: 'live-name' }, name),
        createElement('span', null, count === 1 ? '1 event' : `${count} events`),
        button('Stop', `Stop ${name}`, stop),
      ),
    ),
  )
}

function Log({ log, subscriptions }) {
  const { entries, dropped } = useStore(log)
  const { running } = useStore(subscriptions)
  const element = useRef(null)
  const follows = useRef(true)
  // The newest stays in view, unless the reader has scrolled up.
  useLayoutEffect(() => {
    if (follows.current && entries.length > 0) element.current.scrollTop = element.current.scrollHeight
  }, [entries])
  const onScroll = ({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
    follows.current = scrollHeight - scrollTop - clientHeight < 20
  }
  if (entries.length === 0)
    return createElement(
      'p',
      { className: 'live-empty' },
      running.length === 0
        ? 'Run a subscription, such as the one in the tab LiveQuery. Its events are listed here, whichever tab is open, until you stop it.'
        : 'No event yet. Send a message in another tab: it appears here.',
    )
  return createElement(
    'div',
    { ref: element, className: 'live-log', role: 'log', 'aria-label': 'Events', tabIndex: 0, onScroll },
    dropped > 0 && createElement('p', { className: 'live-hint' }, `${dropped} older lines were dropped`),
    entries.map((entry) => createElement(Entry, { key: entry.id, entry })),
  )
}

function Entry({ entry: { at, kind, subscription, summary, result } }) {
  const head = [
    createElement('time', { key: 'time', dateTime: at.toISOString() }, at.toLocaleTimeString('en-GB')),
    subscription !== undefined &&
      createElement('span', { key: 'name', className: 'live-name' }, subscription),
    createElement('span', { key: 'summary', className: 'live-summary' }, summary),
  ]
  if (result === undefined) return createElement('div', { className: `live-entry ${kind}` }, head)
  return createElement(
    'details',
    { className: `live-entry ${kind}` },
    createElement('summary', null, head),
    createElement('pre', null, JSON.stringify(result, undefined, 2)),
  )
}

function button(label, title, onClick, disabled = false) {
  return createElement(
    'button',
    { type: 'button', className: 'bar-button', title, 'aria-label': title, onClick, disabled },
    label,
  )
}

/** Resolves with whether it was possible: pages without HTTPS on other hosts than this machine may not. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}

export function useStore(store) {
  return useSyncExternalStore(store.subscribe, store.get)
}

export function createStore(value) {
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
