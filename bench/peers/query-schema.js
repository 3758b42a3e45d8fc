/* The part of the API that the peers have: enough for the queries they are measured with. */
export const typeDefs = `
  type Author { name: String! }
  type Thread { title: String }
  type Message { content: String author: Author thread: Thread }
  type Messages { nodes: [Message!]! }
  type Flow { name: String! messages(last: Int!): Messages! }
  type Flows { nodes: [Flow!]! }
  type Query { flow(path: String!): Flow flows(first: Int!): Flows! }
`
