/** The life of one session as data: which tokens each generation had, what happened, and when it was over. */

const ISSUES = new Set(['SessionStarted', 'SessionRefreshed', 'SessionSteppedUp', 'RefreshReissued', 'RefreshRecovered']);
const TURNS = new Set(['SessionStarted', 'SessionRefreshed', 'SessionSteppedUp']);

/** Keep the facts, and tell one session's life from them. `lifetime` is an access token's, in seconds. */
export function life(lifetime) {
  const facts = [];
  const mine = new Set();
  let current = '';
  return {
    add(fact) {
      facts.push(fact);
      if (facts.length > 400) facts.shift();
    },
    /** Follow that session; its last one is kept in view after its end. */
    follow(session) {
      current = session || current;
      mine.add(current);
    },
    facts: () => facts,
    /** Whether a fact is of a session that this page has, or had before it signed in again. */
    isMine: (fact) => [...mine].some((session) => sameSession(fact.session, session)),
    isOurs: (fact) => Boolean(current) && sameSession(fact.session, current),
    /** When this session's key was last turned or recovered, in ms; 0 if never. */
    anchor() {
      const anchors = facts.filter((fact) => this.isOurs(fact) && (TURNS.has(fact.type) || fact.type === 'RefreshRecovered'));
      return anchors.at(-1)?.at ?? 0;
    },
    /** Where the session is now; undefined before the server has told. */
    newest() {
      return facts.findLast((fact) => this.isOurs(fact) && fact.generation !== undefined && fact.generation !== null)?.generation;
    },
    lanes() {
      return lanesOf(
        facts.filter((fact) => this.isOurs(fact)),
        lifetime * 1000,
      );
    },
  };
}

/** The server may show the ends of an id alone. */
function sameSession(shown, whole) {
  const [head, tail = ''] = String(shown).split('…');
  return Boolean(head) && whole.startsWith(head) && whole.endsWith(tail);
}

function lanesOf(facts, lifetime) {
  const lanes = new Map();
  let newest = 0;
  let over = null;
  for (const fact of facts) {
    newest = Math.max(newest, fact.generation ?? newest);
    const generation = Math.min(fact.generation ?? newest, newest);
    if (!lanes.has(generation)) lanes.set(generation, { generation, tokens: [], marks: [], turned: null });
    const lane = lanes.get(generation);
    if (ISSUES.has(fact.type)) lane.tokens.push({ from: fact.at, to: fact.at + lifetime });
    if (TURNS.has(fact.type) && generation > 0) lane.turned = fact.at;
    if (fact.type === 'SessionEnded' && over === null) over = fact.at;
    lane.marks.push(fact);
  }
  return { lanes: [...lanes.values()].sort((one, other) => one.generation - other.generation), newest, over };
}
