/** The most bytes of a topic. [mqtt] 4.7.3 */
const maxBytes = 65_535

/** Whether a text is the name of a topic, which messages can be sent to: without wildcards. [mqtt] 4.7 */
export function isTopicName(topic: string): boolean {
  return isText(topic) && !/[+#]/.test(topic)
}

/** Whether a text is a filter of topics: `+` is a whole level, and `#` is the last one. [mqtt] 4.7.1 */
export function isTopicFilter(topic: string): boolean {
  if (!isText(topic)) return false
  const levels = topic.split('/')
  return levels.every(
    (level, index) => !/[+#]/.test(level) || level === '+' || (level === '#' && index === levels.length - 1),
  )
}

/** Whether a filter matches a topic. Topics that begin with `$` need a filter that does. [mqtt] 4.7.2 */
export function matchesTopic(filter: string, topic: string): boolean {
  const wanted = withoutShare(filter).split('/')
  const levels = topic.split('/')
  if (topic.startsWith('$') && /^[+#]/.test(wanted[0] ?? '')) return false
  for (const [index, level] of wanted.entries()) {
    if (level === '#') return true
    if (index >= levels.length || (level !== '+' && level !== levels[index])) return false
  }
  return wanted.length === levels.length
}

/** The filter of a shared subscription: `$share/group/filter`. [mqtt5] 4.8.2 */
function withoutShare(filter: string): string {
  return /^\$share\/[^/]+\/(.+)$/s.exec(filter)?.[1] ?? filter
}

function isText(topic: string): boolean {
  return topic !== '' && !topic.includes('\0') && topic.isWellFormed() && Buffer.byteLength(topic) <= maxBytes
}
