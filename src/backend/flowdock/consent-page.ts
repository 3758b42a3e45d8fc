import type { ApplicationRow } from '../store/applications.ts'
import type { Answer, Scope } from './route.ts'
import { scopes } from './scopes.ts'

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem;color:#1b2430;background:#f6f7f9}
main{background:#fff;border:1px solid #d8dee6;border-radius:8px;padding:1.5rem}
h1{font-size:1.2rem;margin:0 0 1rem}label{display:block;margin:.75rem 0 .25rem}
input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #aab4c0;border-radius:4px}
.problem{color:#b00020}.buttons{display:flex;gap:.5rem;margin-top:1.25rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:.5rem;border:1px solid #d8dee6;border-radius:4px}
button{font:inherit;padding:.5rem 1rem;border:1px solid #aab4c0;border-radius:4px;background:#fff;cursor:pointer}
button[value=allow]{background:#14507d;border-color:#14507d;color:#fff}
@media(prefers-color-scheme:dark){body{background:#14181d;color:#e6eaef}main{background:#1d232a;border-color:#38424d}
input,button{background:#14181d;color:inherit;border-color:#4a5663}}`

/** The page on which a user signs in, and allows an application to act for them. */
export function consentPage({
  application,
  scopes: wanted,
  redirectUri,
  state,
  challenge,
  email = '',
  problem,
}: {
  application: ApplicationRow
  scopes: readonly Scope[]
  redirectUri: string
  state: string | undefined
  challenge: { readonly text: string; readonly method: string } | undefined
  email?: string
  problem?: string
}): Answer {
  const hidden = {
    client_id: application.client_id ?? '',
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: wanted.join(' '),
    ...(state === undefined ? {} : { state }),
    ...(challenge === undefined
      ? {}
      : { code_challenge: challenge.text, code_challenge_method: challenge.method }),
  }
  const inputs = Object.entries(hidden)
    .map(([name, value]) => `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`)
    .join('')
  const body = `<h1>${escapeHtml(application.name)} asks for access</h1>
<p>It wants to</p><ul>${wanted.map((scope) => `<li>${scopes[scope]}</li>`).join('')}</ul>
<form method="post" action="/oauth/authorize">${inputs}
${problem === undefined ? '' : `<p class="problem" role="alert">${escapeHtml(problem)}</p>`}
<label for="email">E-mail</label><input id="email" name="email" type="email" autocomplete="username" value="${escapeHtml(email)}" required>
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" required>
<div class="buttons"><button name="decision" value="allow">Allow</button>
<button name="decision" value="deny" formnovalidate>Deny</button></div></form>`
  // Browsers apply `form-action` to the redirect that follows the form, too.
  const target = /^https?:/.test(redirectUri) ? ` ${new URL(redirectUri).origin}` : ''
  return page(problem === undefined ? 200 : 401, `Allow ${application.name}?`, body, `'self'${target}`)
}

/** A page with a message for the user. */
export function messagePage(status: number, title: string, text: string): Answer {
  return page(status, title, `<h1>${escapeHtml(title)}</h1><p>${escapeHtml(text)}</p>`, "'none'")
}

/** A page that says what a URL is, and how to continue. */
export function guidePage({
  title,
  text,
  steps,
}: {
  title: string
  text: string
  steps: readonly { readonly text: string; readonly code: string }[]
}): Answer {
  const list = steps.map(
    (step) => `<p>${escapeHtml(step.text)}</p><pre><code>${escapeHtml(step.code)}</code></pre>`,
  )
  const body = `<h1>${escapeHtml(title)}</h1><p>${escapeHtml(text)}</p>${list.join('')}`
  return page(200, title, body, "'none'")
}

function page(status: number, title: string, body: string, formAction: string): Answer {
  const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>${style}</style></head><body><main>${body}</main></body></html>`
  return {
    status,
    content: html,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Cache-Control': 'no-store',
      'Content-Security-Policy': `default-src 'none'; style-src 'unsafe-inline'; form-action ${formAction}; frame-ancestors 'none'; base-uri 'none'`,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    },
  }
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
