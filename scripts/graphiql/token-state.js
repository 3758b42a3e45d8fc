import { pick, useGraphiQL } from '@graphiql/react'
import { createElement } from 'react'

/** Says with which credential the open tab is sent, and gives the one the page came with back when it was deleted. */
export function TokenState({ authorization, defaultHeaders }) {
  const { tabs, activeTabIndex, headerEditor } = useGraphiQL(pick('tabs', 'activeTabIndex', 'headerEditor'))
  const used = authorizationOf(tabs[activeTabIndex]?.headers ?? defaultHeaders)
  const isDemo = authorization !== undefined && used === authorization
  return createElement(
    'span',
    {
      id: 'token-state',
      role: 'status',
      title: isDemo
        ? demoTitle
        : used !== undefined
          ? ownTitle
          : authorization === undefined
            ? keyTitle
            : noneTitle,
    },
    isDemo ? 'Demo token' : used === undefined ? 'No token' : 'Own token',
    !isDemo &&
      authorization !== undefined &&
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

const demoTitle = 'The headers of this tab name the demo token: it is sent as Ada'
const noneTitle = 'The headers of this tab have no Authorization: it is sent without any token'
const keyTitle = `${noneTitle}. The URL that the gateway prints in its terminal brings the demo token`
const ownTitle = 'The headers of this tab name a token of yours'

/** Undefined when there is none, or the headers are not JSON. */
function authorizationOf(headers) {
  try {
    const entries = Object.entries(JSON.parse(headers))
    const [, value] = entries.find(([name]) => name.toLowerCase() === 'authorization') ?? []
    return typeof value === 'string' && value.trim() !== '' ? value : undefined
  } catch {
    return undefined
  }
}
