import { boundedText, maxCharacters } from '../../bounds.ts'
import { accessDenied, HttpError, invalid, notFound } from '../../http/errors.ts'
import { type FlowItself, findViewedFlow, isJoined, listFlowUsers } from '../../store/flows.ts'
import { findInvitation, type InvitationRow, listPendingInvitations } from '../../store/invitations.ts'
import type { UserRow } from '../../store/users.ts'
import { encodeFlowUser, encodeInvitation, joinUrl } from '../encode.ts'
import { removeJoinUrl, renewJoinUrl } from '../operations/flows.ts'
import { emailPattern, invite, withdrawInvitation } from '../operations/invitations.ts'
import { joinFlow, joinOrganization } from '../operations/members.ts'
import type { Route } from '../route.ts'
import {
  checkAdministers,
  checkVisible,
  checkWritable,
  idSegment,
  joinedFlow,
  pathOf,
  segment,
} from './access.ts'

const maxImport = 1000

/** [flowdock] invitations.md, and the join URLs of flows */
export const invitationRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/invitations',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const invitations = await listPendingInvitations(backend.store.reader, flow.id)
      return {
        status: 200,
        body: invitations.map((each) => encodeInvitation(each, pathOf(flow), request.base)),
      }
    },
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/invitations',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const email = boundedText(request.params, 'email', 'email')?.trim() ?? ''
      if (!emailPattern.test(email))
        throw invalid({ email: [email === '' ? "can't be blank" : 'is invalid'] })
      const { invitation } = await backend.log.write(async (change) => {
        await checkWritable(change.db, request.user.id, flow.id)
        return invite(change, flow, email, request.user)
      })
      return { status: 201, body: encodeInvitation(invitation, pathOf(flow), request.base) }
    },
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/invitations/import',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const list = request.params.string('list')
      if (list === undefined || list.trim() === '') throw invalid({ list: ["can't be blank"] })
      const entries = splitList(list)
      if (entries.length > maxImport)
        throw invalid({ list: [`is too long (maximum is ${maxImport} addresses)`] })
      const addresses = entries.map((entry) => (/<([^<>]*)>$/.exec(entry)?.[1] ?? entry).trim())
      const isAddress = (text: string) => text.length <= maxCharacters.email && emailPattern.test(text)
      const erroneous = addresses.filter((address) => !isAddress(address))
      const invited = await backend.log.write(async (change) => {
        await checkWritable(change.db, request.user.id, flow.id)
        const outcomes: { invitation: InvitationRow; added: UserRow | undefined }[] = []
        for (const address of new Set(addresses.filter(isAddress)))
          outcomes.push(await invite(change, flow, address, request.user))
        return outcomes
      })
      const added = new Set(invited.flatMap(({ added }) => (added === undefined ? [] : [added.id])))
      const users = await listFlowUsers(backend.store.reader, [flow.id])
      return {
        status: 200,
        body: {
          invitations: invited
            .filter((each) => each.added === undefined)
            .map(({ invitation }) => encodeInvitation(invitation, pathOf(flow), request.base)),
          added_users: users
            .filter(({ id }) => added.has(id))
            .map((user) => encodeFlowUser(user, request.base)),
          erroneous_emails: erroneous.map((address) => ({ [address]: 'Invalid email' })),
        },
      }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/invitations/:invitation',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const invitation = await findInvitation(backend.store.reader, idSegment(request, 'invitation'))
      if (invitation === undefined || invitation.flow_id !== flow.id) throw notFound()
      return { status: 200, body: encodeInvitation(invitation, pathOf(flow), request.base) }
    },
  },
  {
    method: 'DELETE',
    pattern: '/flows/:organization/:flow/invitations/:invitation',
    auth: 'user',
    async handle(request, backend) {
      const { user } = request
      await backend.log.write(async (change) => {
        const flow = await findViewedFlow(change.db, user.id, {
          organization: segment(request, 'organization'),
          slug: segment(request, 'flow'),
        })
        if (flow === undefined) throw notFound()
        const invitation = await findInvitation(change.db, idSegment(request, 'invitation'))
        const mine = invitation?.email.toLowerCase() === user.email.toLowerCase()
        // The invited user may decline without being a member of the flow.
        if (!mine && !isJoined(checkVisible(flow))) throw accessDenied()
        if (invitation?.flow_id !== flow.id || invitation.state !== 'pending') throw notFound()
        await withdrawInvitation(change, flow, invitation, user)
      })
      return { status: 204 }
    },
  },
  {
    // An extension: the join URL was a page of the service.
    method: 'POST',
    pattern: '/invitations/:code',
    auth: 'user',
    async handle(request, backend) {
      const [joinCode = ''] = /^[0-9a-f]{40}/.exec(segment(request, 'code')) ?? []
      const path = await backend.log.write(async (change) => {
        const flow = await findViewedFlow(change.db, request.user.id, { joinCode })
        if (
          flow === undefined ||
          flow.access_mode === 'invitation' ||
          flow.disabled === 1 ||
          flow.blocked === 1
        )
          throw notFound()
        if (flow.organization_admin === null && flow.access_mode === 'organization')
          throw new HttpError(403, {
            message:
              'Access denied: this flow admits members of its organization only; ask for an invitation',
          })
        await joinOrganization(change, flow.organization_id, request.user.id)
        if (!isJoined(flow)) await joinFlow(change, flow, request.user, request.user)
        return pathOf(flow)
      })
      return { status: 200, body: { url: `${request.base}/flows/${path}` } }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/join_url',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      return { status: 200, body: { join_url: shownJoinUrl(flow, request.base) } }
    },
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/join_url',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      const renewed = await backend.log.write(async (change) => {
        await checkAdministers(change.db, request.user.id, flow.id)
        return renewJoinUrl(change, flow)
      })
      return { status: 201, body: { join_url: shownJoinUrl(renewed, request.base) } }
    },
  },
  {
    method: 'DELETE',
    pattern: '/flows/:organization/:flow/join_url',
    auth: 'user',
    async handle(request, backend) {
      const flow = await joinedFlow(request, backend)
      await backend.log.write(async (change) => {
        await checkAdministers(change.db, request.user.id, flow.id)
        await removeJoinUrl(change, flow)
      })
      return { status: 200, body: {} }
    },
  },
]

/** The entries between commas and line breaks. A name in quotes may have commas: `"Doe, Jane" <jane@example.com>`. */
function splitList(list: string): string[] {
  const entries: string[] = []
  for (const line of list.split('\n')) {
    let parts: string[] = []
    let isQuoted = false
    for (const part of line.split(',')) {
      parts.push(part)
      if (part.split('"').length % 2 === 0) isQuoted = !isQuoted
      if (isQuoted) continue
      entries.push(parts.join(','))
      parts = []
    }
    // After a quote that is not closed, commas separate.
    for (const part of parts) entries.push(part)
  }
  return entries.map((entry) => entry.trim()).filter((entry) => entry !== '')
}

function shownJoinUrl(
  flow: Pick<FlowItself, 'access_mode' | 'join_code' | 'slug'>,
  base: string,
): string | null {
  return flow.access_mode === 'invitation' ? null : joinUrl(flow, base)
}
