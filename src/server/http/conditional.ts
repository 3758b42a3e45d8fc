/** The entity tag of a response body with a hash. It is weak: the body may be compressed. [spec] RFC 9110, 8.8.3 */
export function entityTag(hash: string): string {
  return `W/"${hash}"`
}

/** Whether `If-None-Match` names the tag, so that the client has the body already. [spec] RFC 9110, 13.1.2 */
export function matchesTag(tag: string, ifNoneMatch: string | undefined): boolean {
  const opaque = (text: string) => text.trim().replace(/^W\//, '')
  return (ifNoneMatch ?? '').split(',').some((each) => each.trim() === '*' || opaque(each) === opaque(tag))
}
