// load.mjs - clients that keep account: senders with keys, joiners, readers, listeners; and the audit of what they were
// told against what is there.
import http from 'node:http';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const WebSocket = createRequire(new URL('../e2e/package.json', import.meta.url))('ws');

// Deterministic, so that a seed gives the same schedule of faults (not of threads).
export function random(seed) {
  let s = seed >>> 0;
  const next = () => { // mulberry32
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, between: (a, b) => a + next() * (b - a), whole: (n) => Math.floor(next() * n) };
}

const answer_ms_max = 30000;

// One keep-alive connection. Resolves to {status, body}, rejects when the connection broke before a whole answer.
function client(port) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const call = (method, token, args) => new Promise((resolve, reject) => {
    const data = JSON.stringify(args);
    const request = http.request({
      agent, port, host: '127.0.0.1', method: 'POST', path: `/api/${method}`, timeout: answer_ms_max,
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(data), Authorization: `Bearer ${token}` },
    }, (response) => {
      const parts = [];
      response.on('data', (d) => parts.push(d)).on('end', () => {
        try { resolve({ status: response.statusCode, body: JSON.parse(Buffer.concat(parts)) }); } catch (e) { reject(e); }
      }).on('error', reject).on('aborted', () => reject(new Error('aborted')));
    });
    request.on('error', reject).on('timeout', () => request.destroy(new Error(`no answer to ${method} in ${answer_ms_max} ms`)));
    request.end(data);
  });
  return { call, end: () => agent.destroy() };
}

export class Load {
  constructor(parley, demo, { senders = 6, listeners = 2, readers = 1, joiners = 1 } = {}) {
    Object.assign(this, { parley, demo, counts: { senders, listeners, readers, joiners } });
    this.channels = [demo.channels.random.id, demo.channels.general.id];
    this.acked = new Map(); // text -> {ts, channel}
    this.heard = new Map(); // text -> Set of ts, over all listeners
    this.members = new Map(); // channel made by a joiner -> whether its joiner is in, or undefined while unknown
    this.violations = { lost: 0, doubled: 0, out_of_order: 0, ghosts: 0, stale_reads: 0, wrong_answers: 0, membership: 0, bench_audit: 0 };
    this.details = [];
    this.recent = []; // the newest of acked
    this.sockets = new Set();
    this.refused = this.broken = this.reads = this.events = this.joins = 0;
    this.longestUnavailableMs = 0;
    this.audited = new Map(this.channels.map((c) => [c, '0']));
    this.order = new Map(); // sender -> last sequence number seen by the audit
  }

  violate(kind, what) {
    this.violations[kind]++;
    if (this.details.length < 50) this.details.push(`${kind}: ${what}`);
  }

  start() {
    this.stopping = false;
    this.tasks = [];
    for (let n = 0; n < this.counts.senders; n++) this.tasks.push(this.send(n));
    for (let n = 0; n < this.counts.readers; n++) this.tasks.push(this.read(n));
    for (let n = 0; n < this.counts.joiners; n++) this.tasks.push(this.join(n));
    for (let n = 0; n < this.counts.listeners; n++) this.tasks.push(this.listen(n));
  }

  // Every sender finishes the message it has under way: its outcome is known afterwards.
  async stop() {
    this.stopping = true;
    for (const s of this.sockets) s.terminate();
    await Promise.all(this.tasks);
  }

  // The service is there again when a post is taken; from the fault to then it was not.
  fault() { this.faultAt ??= Date.now(); }

  // Asked after the fault, that is: an answer may have been on its way when it struck.
  taken(askedAt) {
    if (this.faultAt === undefined || askedAt < this.faultAt) return;
    this.longestUnavailableMs = Math.max(this.longestUnavailableMs, Date.now() - this.faultAt);
    this.faultAt = undefined;
  }

  async untilTaken(ms, what) {
    const deadline = Date.now() + ms;
    while (this.faultAt !== undefined) {
      if (Date.now() > deadline) throw new Error(`${what}: no post was taken within ${ms} ms`);
      await sleep(10);
    }
  }

  // Asks until the answer is final. Refusals that say "later" and broken connections mean: again, the same.
  // undefined: the run was given up.
  async insist(c, method, token, args, asked = {}) {
    while (!this.abandoned) {
      try {
        asked.at = Date.now();
        const { status, body } = await c.call(method, token, args);
        if (status === 200) return body;
        if (status !== 503 && status !== 429) {
          this.violate('wrong_answers', `${method}: ${status} ${body.error}`);
          return body;
        }
        this.refused++;
      } catch (e) {
        if (/no answer/.test(e.message)) this.violate('wrong_answers', e.message);
        this.broken++;
      }
      await sleep(15);
    }
    return undefined;
  }

  // The run failed: nobody waits for a daemon that does not come back.
  abandon() {
    this.stopping = this.abandoned = true;
    for (const s of this.sockets) s.terminate();
  }

  async send(n) {
    const c = client(this.parley.port);
    const user = this.demo.users[n % this.demo.users.length];
    const channel = this.channels[n % this.channels.length];
    for (let i = 0; !this.stopping; i++) {
      const text = `s${n}-${this.next(n)}`;
      const asked = {};
      const r = await this.insist(c, 'chat.postMessage', user.token, { channel, text, client_msg_id: text }, asked);
      if (r === undefined) break;
      if (!r.ok) {
        this.violate('wrong_answers', `chat.postMessage: ${r.error}`);
        continue;
      }
      if (r.message?.text !== text || r.channel !== channel) this.violate('wrong_answers', `${text} answered with ${r.message?.text}`);
      this.acked.set(text, { ts: r.ts, channel });
      this.recent = [...this.recent.slice(-80), { text, ts: r.ts, channel }];
      this.taken(asked.at);
    }
    c.end();
  }

  next(n) {
    this.sequence ??= [];
    this.sequence[n] = (this.sequence[n] ?? -1) + 1;
    return this.sequence[n];
  }

  // What was answered ok before the read began is in it.
  async read(n) {
    const c = client(this.parley.port);
    const { token } = this.demo.users[n % this.demo.users.length];
    for (let i = n; !this.stopping; i++) {
      const channel = this.channels[i % this.channels.length];
      const newest = this.recent.filter((a) => a.channel === channel);
      const r = await this.insist(c, 'conversations.history', token, { channel, limit: 200 });
      this.reads++;
      if (r === undefined) break;
      if (!r.ok) {
        this.violate('wrong_answers', `conversations.history: ${r.error}`);
      } else {
        const there = new Set(r.messages.map((m) => m.ts));
        const oldest = r.messages.at(-1)?.ts ?? '0';
        for (const a of newest) if (a.ts >= oldest && !there.has(a.ts)) this.violate('stale_reads', `${a.text} ${a.ts}`);
      }
      await sleep(20);
    }
    c.end();
  }

  // Makes a channel, then a second user joins and leaves it in turn.
  async join(n) {
    const c = client(this.parley.port);
    const [owner, guest] = [this.demo.users[0], this.demo.users[1]];
    const name = `torture-${process.pid}-${n}-${this.generation = (this.generation ?? 0) + 1}`;
    let made = await this.insist(c, 'conversations.create', owner.token, { name });
    if (made?.error === 'name_taken') { // made, and the answer was lost
      const list = await this.insist(c, 'conversations.list', owner.token, { limit: 999 });
      made = { ok: true, channel: list?.channels?.find((x) => x.name === name) };
    }
    if (made === undefined) return;
    if (!made.ok || !made.channel) {
      this.violate('wrong_answers', `conversations.create: ${made.error}`);
      return;
    }
    const channel = made.channel.id;
    this.members.set(channel, { guest: guest.id, owner: owner.id, in: false });
    for (let joined = false; !this.stopping; joined = !joined) {
      const m = this.members.get(channel);
      const r = await this.insist(c, joined ? 'conversations.leave' : 'conversations.join', guest.token, { channel });
      if (r === undefined) break;
      if (r.ok || r.error === 'not_in_channel') m.in = !joined;
      else this.violate('wrong_answers', `join or leave: ${r.error}`);
      this.joins++;
      await sleep(30);
    }
    c.end();
  }

  async listen(n) {
    const c = client(this.parley.port);
    const { token } = this.demo.users[n % this.demo.users.length];
    while (!this.stopping) {
      const answer = await c.call('rtm.connect', token, {}).catch(() => undefined); // it is down
      if (answer?.body.ok && !this.stopping) await this.hear(new WebSocket(answer.body.url));
      await sleep(20);
    }
    c.end();
  }

  async hear(ws) {
    const last = new Map();
    this.sockets.add(ws);
    ws.on('error', () => {});
    ws.on('message', (data) => this.onEvent(JSON.parse(data), last));
    await new Promise((resolve) => { ws.on('close', resolve); }); // comes after an error too
    this.sockets.delete(ws);
  }

  onEvent(event, last) {
    if (event.type !== 'message' || event.text === undefined) return;
    this.events++;
    if (event.ts <= (last.get(event.channel) ?? '')) this.violate('out_of_order', `event ${event.text} ${event.ts} after ${last.get(event.channel)}`);
    last.set(event.channel, event.ts);
    const set = this.heard.get(event.text) ?? new Set();
    set.add(event.ts);
    this.heard.set(event.text, set);
  }

  // ---- the audit: with no load running ----

  async page(c, channel, oldest) {
    const rows = [];
    for (let cursor = ''; cursor !== undefined;) {
      const r = await this.insist(c, 'conversations.history', this.demo.users[0].token, { channel, limit: 999, oldest, ...(cursor ? { cursor } : {}) });
      if (!r?.ok) {
        this.violate('wrong_answers', `audit: conversations.history: ${r?.error}`);
        return rows.reverse();
      }
      rows.push(...r.messages);
      cursor = r.response_metadata?.next_cursor || undefined;
    }
    return rows.reverse();
  }

  // Since the last audit only, or everything.
  async audit({ all = false } = {}) {
    const c = client(this.parley.port);
    if (all) this.order.clear();
    for (const channel of this.channels) {
      const since = all ? '0' : this.audited.get(channel);
      const rows = await this.page(c, channel, since);
      const seen = new Map();
      let before = since;
      for (const m of rows) {
        if (m.ts <= before) this.violate('out_of_order', `${m.text}: ${m.ts} after ${before}`);
        before = m.ts;
        if (seen.has(m.text)) this.violate('doubled', `${m.text}: ${seen.get(m.text)} and ${m.ts}`);
        seen.set(m.text, m.ts);
        this.checkSequence(m.text);
      }
      for (const [text, a] of this.acked) {
        if (a.channel !== channel || a.ts <= since) continue;
        if (!seen.has(text)) this.violate('lost', `${text} ${a.ts}`);
        else if (seen.get(text) !== a.ts) this.violate('doubled', `${text}: answered ${a.ts}, stored ${seen.get(text)}`);
      }
      this.checkHeard(channel, seen, all);
      this.audited.set(channel, before);
    }
    await this.checkMembers(c);
    c.end();
  }

  checkSequence(text) {
    const [, sender, number] = /^(s\d+)-(\d+)$/.exec(text) ?? [];
    if (sender === undefined) return;
    const last = this.order.get(sender) ?? -1;
    if (Number(number) !== last + 1) this.violate(Number(number) > last ? 'lost' : 'out_of_order', `${text} follows ${sender}-${last}`);
    this.order.set(sender, Number(number));
  }

  // Nobody saw what is not stored.
  checkHeard(channel, seen, all) {
    if (!all) return;
    for (const [text, stamps] of this.heard) {
      const a = this.acked.get(text);
      if (a?.channel !== channel) continue;
      for (const ts of stamps) if (ts !== seen.get(text)) this.violate('ghosts', `${text} was heard at ${ts}, stored ${seen.get(text)}`);
    }
  }

  async checkMembers(c) {
    for (const [channel, m] of this.members) {
      const r = await this.insist(c, 'conversations.members', this.demo.users[0].token, { channel });
      if (!r?.ok) this.violate('membership', `${channel}: ${r?.error}`);
      else if (r.members.includes(m.guest) !== m.in || !r.members.includes(m.owner)) this.violate('membership', `${channel}: ${r.members} while the guest was ${m.in ? 'in' : 'out'}`);
    }
  }
}
