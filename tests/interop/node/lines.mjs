// One question a line on standard input, one answer a line on standard output: both are JSON.
import { createInterface } from 'node:readline'

const told = (error) => ({
  name: error.name,
  message: error.message,
  code: error.code,
  status: error.status,
  error: error.error,
  challenges: Array.isArray(error.cause) ? error.cause : undefined,
  cause: error.cause?.message,
})

export async function answer(questions) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { ask, ...given } = JSON.parse(line)
    let said
    try {
      said = { answer: (await questions[ask](given)) ?? null }
    } catch (error) {
      said = { refused: told(error) }
    }
    console.log(JSON.stringify(said))
  }
}
