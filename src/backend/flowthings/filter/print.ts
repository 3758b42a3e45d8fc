import { creationDate, type Filter, type Member, type Operand, type Regex } from './syntax-tree.ts'

/** Writes a filter as a text that `parseFilter` parses to the same filter. */
export function printFilter(filter: Filter): string {
  switch (filter.kind) {
    case 'all':
      return ''
    case 'and':
      return filter.clauses.map(printNested).join(' && ')
    case 'or':
      return filter.clauses.map(printNested).join(' || ')
    case 'not':
      return `NOT (${printFilter(filter.clause)})`
    case 'compare':
      return `${printMember(filter.member)} ${filter.comparison} ${printOperand(filter.operand)}`
    case 'remainder':
      return `${printMember(filter.member)} % ${filter.divisor} ${filter.comparison} ${filter.remainder}`
    case 'regex':
      return `${printMember(filter.member)} =~ ${printRegex(filter.regex)}`
    case 'matches':
      return `MATCHES ${printRegex(filter.regex)}`
    case 'in':
      return `${printMember(filter.member)} IN [${filter.operands.map(printOperand).join(',')}]`
    case 'contains':
      return `${printMember(filter.member)} CONTAINS [${filter.operands.map(printOperand).join(',')}]`
    case 'within':
      return `${printMember(filter.member)} WITHIN ${filter.distance} ${filter.unit} OF [${filter.center.lat},${filter.center.lon}]`
    case 'exists':
      return `EXISTS ${printMember(filter.member)}`
    case 'has':
      return `HAS ${filter.type}`
    case 'age': {
      const age =
        printMember(filter.member) === printMember(creationDate)
          ? 'AGE'
          : `AGE('${printMember(filter.member)}')`
      return `${age} ${filter.comparison} ${filter.milliseconds}`
    }
  }
}

function printNested(filter: Filter): string {
  const text = printFilter(filter)
  return filter.kind === 'and' || filter.kind === 'or' ? `(${text})` : text
}

function printMember(member: Member): string {
  return member.join('.')
}

function printOperand(operand: Operand): string {
  return 'member' in operand ? printMember(operand.member) : JSON.stringify(operand.value)
}

function printRegex({ source, flags }: Regex): string {
  return `/${source.replaceAll('/', '\\/')}/${flags}`
}
