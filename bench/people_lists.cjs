// people_lists.cjs - the calls of bench/people, drawn from what parley-bench populate says that there is. A list is an
// array of lines for parley-bench calls; the same population and trace give the same lists.
'use strict';
const { readFileSync } = require('node:fs');

const listLength = 2000;

// mulberry32
function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class People {
  constructor(file, trace, seed = 1) {
    Object.assign(this, JSON.parse(readFileSync(file, 'utf8')));
    this.random = random(seed);
    this.channels = this.people.filter((c) => c.times.length > 0);
    let sum = 0;
    this.ends = this.channels.map((c) => (sum += c.roots + c.replies));
    this.countOf = new Uint32Array(this.tokens.length);
    for (const c of this.people) for (const m of c.members) this.countOf[m]++;
    this.byCount = [...this.countOf.keys()].sort((a, b) => this.countOf[b] - this.countOf[a]);
    this.readWords(trace);
  }

  below(n) { return Math.floor(this.random() * n); }
  oneOf(list) { return list[this.below(list.length)]; }
  many(n, make) { return Array.from({ length: n }, make); }

  // Those that bench/people posts to: the busiest one, and the public one with about a twentieth of its messages.
  postedTo() {
    const size = (c) => c.roots + c.replies, busiest = this.people[0];
    const far = (c) => Math.abs(Math.log(size(c) * 20 / size(busiest)));
    return [this.channels.filter((c) => !c.private).reduce((a, b) => (far(b) < far(a) ? b : a)), busiest];
  }

  // As messages are spread.
  channel() {
    const x = this.random() * this.ends.at(-1);
    return this.channels[this.ends.findIndex((e) => x < e)];
  }

  // Who writes most reads most.
  memberOf(c) { return c.members[Math.floor(this.random() ** 2 * c.members.length)]; }
  call(user, method, args, holds) { return { token: this.tokens[user], method, args, ...(holds ? { holds } : {}) }; }

  // Words of plain texts, and in how many each stands; what is in links and code is left out.
  readWords(trace) {
    const count = new Map();
    this.texts = readFileSync(trace, 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l))
      .filter((m) => !m.subtype && m.text && !/[<`:]/.test(m.text)).map((m) => m.text.toLowerCase());
    for (const t of this.texts) for (const w of new Set(t.match(/\b[a-z]{3,}\b/g))) count.set(w, (count.get(w) || 0) + 1);
    this.words = [...count].sort((a, b) => b[1] - a[1]).map(([word, n]) => ({ word, n }));
    this.common = this.words.slice(0, 20).map((w) => w.word);
    this.rare = this.words.filter((w) => w.n <= Math.max(2, this.words.at(-1).n)).map((w) => w.word);
    const middling = new Set(this.words.slice(20).filter((w) => w.n >= 3).map((w) => w.word));
    this.pairs = this.texts.map((t) => [...new Set(t.match(/\b[a-z]{3,}\b/g))].filter((w) => middling.has(w)).slice(0, 2)).filter((p) => p.length === 2);
    if (this.pairs.length === 0) this.pairs = [this.common.slice(0, 2)];
    this.phrases = this.texts.map((t) => /\b[a-z]+ [a-z]+ [a-z]+\b/.exec(t)?.[0]).filter(Boolean);
  }

  newest() {
    return this.many(listLength, () => {
      const c = this.channel();
      return this.call(this.memberOf(c), 'conversations.history', { channel: c.id, limit: 100 }, c.newest);
    });
  }

  old() {
    return this.many(listLength, () => {
      const c = this.channel(), k = 1 + this.below(c.times.length - 1);
      const args = { channel: c.id, limit: 100, latest: c.times[k], inclusive: true, ...(this.random() < 0.5 ? { oldest: c.times[k - 1] } : {}) };
      return this.call(this.memberOf(c), 'conversations.history', args, c.times[k]);
    });
  }

  // Of threads with at least so many replies.
  thread(least) {
    const some = this.threads.filter(([, , replies]) => replies >= least);
    const from = some.length ? some : this.threads;
    return this.many(listLength, () => {
      const [channel, ts, replies, newest] = this.oneOf(from);
      return this.call(this.memberOf(this.people[channel]), 'conversations.replies', { channel: this.people[channel].id, ts }, replies < 1000 ? newest : ts);
    });
  }

  anybody() { return this.below(this.tokens.length); }
  // One of the hundredth with the most channels, or of the half with the fewest.
  inMany() { return this.byCount[this.below(Math.ceil(this.byCount.length / 100))]; }
  inFew() { return this.byCount[this.byCount.length - 1 - this.below(Math.floor(this.byCount.length / 2))]; }

  // {name: {user, query, sort}} makers; what they find has to be asked of the server.
  searches() {
    const word = () => this.oneOf(this.common);
    const of = (query, sort = 'score', user = () => this.anybody()) => () => ({ user: user(), query: query(), sort });
    const busy = this.people.slice(0, 50);
    return {
      'rare word': of(() => this.oneOf(this.rare)),
      'common word, by score': of(word),
      'common word, by timestamp': of(word, 'timestamp'),
      'common word, user of many channels': of(word, 'timestamp', () => this.inMany()),
      'common word, user of few channels': of(word, 'timestamp', () => this.inFew()),
      'two words, by score': of(() => this.oneOf(this.pairs).join(' ')),
      'two words, by timestamp': of(() => this.oneOf(this.pairs).join(' '), 'timestamp'),
      phrase: of(() => `"${this.oneOf(this.phrases)}"`),
      'in:': () => {
        const c = this.oneOf(busy);
        return { user: this.memberOf(c), query: `in:<#${c.id}> ${word()}`, sort: 'timestamp' };
      },
      'from:': () => ({ user: this.anybody(), query: `from:<@${this.user_ids[Math.floor(this.random() ** 2 * this.user_ids.length)]}> ${word()}`, sort: 'timestamp' }),
    };
  }

  search(x, holds) { return this.call(x.user, 'search.messages', { query: x.query, sort: x.sort }, holds); }

  // Pairs of a user and a channel.
  pairsOf(n) {
    return this.many(n, () => {
      const c = this.channel();
      return { c, user: this.memberOf(c) };
    });
  }

  info(pairs, holds) { return pairs.map(({ c, user }) => this.call(user, 'conversations.info', { channel: c.id }, holds)); }
  mark(pairs, tsOf) { return pairs.map(({ c, user }) => this.call(user, 'conversations.mark', { channel: c.id, ts: tsOf(c) })); }
}

module.exports = { People };
