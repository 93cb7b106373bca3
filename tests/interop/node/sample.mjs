// The sample of docs/how-to/verify-elsewhere.md, which the test has put beside this file.
import { answer } from './lines.mjs'
import { caller } from './with_jose.mjs'

await answer({ caller: ({ token }) => caller(token) })
