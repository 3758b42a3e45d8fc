import { pick, useGraphiQL } from '@graphiql/react'
import { createElement } from 'react'

/** Says with which credentials the open tab is sent, and gives those the page came with back when they were deleted. */
export function TokenState({ demoHeaders, defaultHeaders }) {
  const { tabs, activeTabIndex, headerEditor } = useGraphiQL(pick('tabs', 'activeTabIndex', 'headerEditor'))
  const state = stateOf(credentialsOf(tabs[activeTabIndex]?.headers ?? defaultHeaders), demoHeaders)
  return createElement(
    'span',
    { id: 'token-state', role: 'status', title: state.title },
    state.label,
    state !== demo &&
      Object.keys(demoHeaders).length > 0 &&
      createElement(
        'button',
        {
          type: 'button',
          className: 'bar-button',
          title: 'Put the demo token back into the headers of this tab',
          onClick: () => headerEditor?.setValue(defaultHeaders),
        },
        'Use demo token',
      ),
  )
}

const names = ['Authorization', 'X-Auth-Account', 'X-Auth-Token']
const demo = {
  label: 'Demo token',
  title:
    'The headers of this tab name the demo token: it is sent as Ada, and with the demo account of flowthings if that is there',
}
const part = {
  label: 'Part of the demo',
  title: 'The headers of this tab have one of the demo tokens, of Flowdock or of flowthings, but not both',
}
const own = { label: 'Own token', title: 'The headers of this tab name a token of yours' }
const none = {
  label: 'No token',
  title: 'The headers of this tab have no Authorization and no X-Auth-Token: it is sent without any token',
}
const keyless = {
  ...none,
  title: `${none.title}. The URL that the gateway prints in its terminal brings the demo token`,
}

function stateOf(used, demoHeaders) {
  const expected = Object.entries(demoHeaders)
  const isUsed = ([name, value]) => used[name] === value
  const isEmpty = used['Authorization'] === undefined && used['X-Auth-Token'] === undefined
  if (isEmpty) return expected.length === 0 ? keyless : none
  if (Object.entries(used).some(([name, value]) => demoHeaders[name] !== value)) return own
  return expected.every(isUsed) ? demo : part
}

/** The credentials in headers, by name; none where the headers are not JSON. */
function credentialsOf(headers) {
  try {
    const entries = Object.entries(JSON.parse(headers))
    return Object.fromEntries(
      names.flatMap((name) => {
        const [, value] = entries.find(([each]) => each.toLowerCase() === name.toLowerCase()) ?? []
        return typeof value === 'string' && value.trim() !== '' ? [[name, value]] : []
      }),
    )
  } catch {
    return {}
  }
}
