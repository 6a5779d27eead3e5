// Each pool, ring and table at its least, over real sockets: the documented answer under load, every ok stored once and
// every refusal not at all, sockets told what they missed; then full recovery and a clean end.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';
import { Parley, Conn, answers, post, history, eventually, freePort, raw, at, some, slow, sleep } from './harness.mjs';
import { Ws, rtm, frame, OP } from './ws.mjs';

const fast = { 'api.rate_posts_per_s': 1000000, 'api.rate_factor': 1000000 };
const gauges = ['parley_conns_open', 'parley_ws_open'];

async function up(settings, options) {
  const parley = await Parley.start({ settings: { ...fast, ...settings }, options });
  const demo = parley.demo();
  parley.release();
  await parley.metric('parley_conns_open', (v) => v <= 1);
  const start = await parley.metrics();
  return { parley, demo, start, channel: demo.channels.random.id };
}

// Everything is let go: gauges are where they began, posts work, SIGTERM ends with 0 in time.
async function recovered({ parley, demo, start, channel }, { text = 'recovered' } = {}) {
  parley.release();
  for (const g of gauges) await parley.metric(g, (v) => v <= start[g] + 1, `${g} is back at ${start[g]}`); // one more: the metrics reader itself
  await eventually(async () => {
    const c = await Conn.open(parley.port);
    const r = await c.call('chat.postMessage', demo.users[0].token, { channel, text }).catch((e) => ({ error: e.message }));
    c.end();
    return r.ok;
  }, 'posting after the load');
  const c = await Conn.open(parley.port);
  for (let i = 0; i < 20; i++) {
    const r = await c.call('chat.postMessage', demo.users[i % 3].token, { channel, text: `${text} ${i}` });
    assert.ok(r.ok, `${r.status} ${r.error}`);
  }
  c.end();
  const from = Date.now();
  await parley.stop();
  assert.ok(Date.now() - from < 10000 * slow, 'drained in time');
}

// Posts n messages over `lanes` connections, `deep` under way on each. Gives {acked: Map text -> ts, refused: Set}.
async function storm({ parley, demo }, channels, { n = some(400), lanes = 8, deep = 4, size = 10, method = 'chat.postMessage' } = {}) {
  const acked = new Map();
  const refused = new Map();
  let next = 0;
  await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
    let c = await Conn.open(parley.port);
    const opened = [c];
    await Promise.all(Array.from({ length: deep }, async () => {
      for (let i = next++; i < n; i = next++) {
        const channel = channels[i % channels.length];
        const text = `storm ${i} ${'s'.repeat(size)}`;
        if (c.ended) opened.push(c = await Conn.open(parley.port));
        const r = await c.call(method, demo.users[lane % 3].token, { channel, text }).catch(() => ({ cut: true }));
        if (r.cut) refused.set(text, { error: 'cut', channel }); // behind a request that ended the connection: never run
        else if (r.ok) acked.set(text, { ts: r.ts, channel });
        else {
          refused.set(text, { error: r.error, channel });
          assert.equal(r.status, 503, `${r.status} ${r.error}`);
          assert.equal(r.error, 'service_unavailable');
          assert.match(r.retryAfter, /^[1-8]$/);
        }
      }
    }));
    opened.forEach((o) => o.end());
  }));
  assert.equal(acked.size + refused.size, n);
  return { acked, refused };
}

async function audit({ parley, demo }, channels, { acked, refused }) {
  for (const channel of channels) {
    const rows = (await history(parley, demo.users[0].token, channel)).filter((m) => m.text.startsWith('storm'));
    const want = [...acked].filter(([, a]) => a.channel === channel).map(([text, a]) => [a.ts, text]).sort();
    assert.deepEqual(rows.map((m) => [m.ts, m.text]).reverse(), want, 'exactly what was answered ok is stored, in order');
    assert.ok(!rows.some((m) => refused.has(m.text)));
  }
}

// Every listener saw each acknowledged message in order, or was told to refetch its channel.
async function heard(listeners, { acked }, channels) {
  for (const w of listeners) {
    await w.flushed();
    const seen = new Set(w.events.filter((e) => e.type === 'message').map((e) => e.ts));
    const missing = new Set([...acked.values()].filter((a) => channels.includes(a.channel) && !seen.has(a.ts)).map((a) => a.channel));
    const told = () => [...missing].every((c) => w.events.some((e) => e.type === 'refetch' && (e.all || e.channels.includes(c))));
    await w.until(told, `refetch of ${[...missing]}`);
    const byChannel = new Map();
    for (const e of w.events.filter((x) => x.type === 'message')) {
      assert.ok(e.ts > (byChannel.get(e.channel) ?? ''), 'events of a channel in order');
      byChannel.set(e.channel, e.ts);
    }
    assert.equal(w.broken, undefined);
  }
}

async function channelsOf({ parley, demo }, n) {
  const out = [];
  for (let i = 0; i < n; i++) {
    const { channel } = await parley.call('conversations.create', demo.users[0].token, { name: `c${i}` });
    await parley.call('conversations.invite', demo.users[0].token, { channel: channel.id, users: `${demo.users[1].id},${demo.users[2].id}` });
    out.push(channel.id);
  }
  return out;
}

describe('starved', at('starve'), () => {
  // name, settings, what shows that the pool was really short: a metric that grew, or 503s
  const table = [
    ['request rings of 2', { 'ring.request_cells': 2 }, []],
    ['request rings of 2, one parked request', { 'ring.request_cells': 2, 'http.parked_max': 1 }, ['503', 'parley_ring_stalls_total']],
    ['event rings of 2', { 'ring.event_cells': 2, 'ring.request_cells': 2 }, ['parley_ring_full_total{from="chan0",to="fanout0",class="event"}']],
    ['2 event frames', { 'ring.frames': 2 }, ['parley_frames_exhausted_total', 'parley_events_dropped_total']],
    ['batches of one request', { 'store.batch_requests_max': 1 }, []],
    ['batches of 4 KiB', { 'store.batch_bytes_max': 4096 }, []],
    ['memtables of 64 KiB', { 'store.memtable_bytes': 65536, 'store.cache_bytes': 1048576 }, []],
    ['one request under way on a connection', { 'http.pipeline_max': 1 }, []],
    ['64 KiB of arenas', { 'http.arenas_bytes_max': 65536 }, ['503']],
    ['socket queues of 2 KiB', { 'ws.queue_soft_bytes': 1024, 'ws.queue_hard_bytes': 2048 }, ['parley_events_dropped_total']],
    ['4 KiB queued on all sockets', { 'ws.queue_soft_bytes': 1024, 'ws.queue_hard_bytes': 2048, 'ws.queue_total_bytes': 4096 }, ['parley_events_dropped_total']],
    ['2 channels in memory', { 'chan.channels_max': 2 }, ['parley_chan_evictions_total']],
    ['2 channels in memory, 2 parked requests', { 'chan.channels_max': 2, 'chan.parked_max': 2 }, ['503', 'parley_chan_evictions_total']],
    ['everything at its least', {
      'ring.request_cells': 2, 'ring.event_cells': 2, 'ring.control_cells': 2, 'ring.frames': 2, 'http.parked_max': 1, 'http.pipeline_max': 1, 'http.arenas_bytes_max': 262144,
      'ws.queue_soft_bytes': 1024, 'ws.queue_hard_bytes': 2048, 'ws.queue_total_bytes': 4096, 'ws.requests_max': 1, 'chan.channels_max': 2, 'chan.parked_max': 2,
      'store.batch_requests_max': 1, 'store.batch_bytes_max': 4096, 'store.memtable_bytes': 65536,
    }, ['503', 'parley_ring_stalls_total', 'parley_chan_evictions_total', 'parley_events_dropped_total']],
  ];
  for (const [name, settings, must] of table) {
    test(name, async () => {
      const it = await up(settings);
      const few = 'chan.channels_max' in settings;
      const channels = few ? [...await channelsOf(it, 6), it.channel] : await channelsOf(it, 1);
      // What sockets subscribe to must fit in memory: the bot is in two channels, a user in eight is told to come back.
      const tokens = few ? Array(3).fill(it.demo.bot.token) : it.demo.users.map((u) => u.token);
      if (few) {
        const { url } = await it.parley.call('rtm.connect', it.demo.users[0].token);
        assert.equal((await (await Ws.open(url)).closed).code, 1013);
      }
      // Short of everything, a socket may be told to come back (1013).
      const listeners = await Promise.all(tokens.map((t) => eventually(() => rtm(it.parley, t).catch(() => undefined), 'a socket')));
      const result = await storm(it, channels, { size: /arenas|queue/.test(Object.keys(settings).join()) ? 3000 : 10 });
      const metrics = await it.parley.metrics();
      for (const m of must) assert.ok(m === '503' ? result.refused.size > 0 : metrics[m] > (it.start[m] ?? 0), `${m} shows no shortage`);
      assert.ok(result.acked.size > 0, 'some were taken');
      await heard(listeners, result, few ? [it.channel] : channels);
      // the sockets are live again: a calm message reaches everybody
      await eventually(async () => {
        const r = await it.parley.call('chat.postMessage', it.demo.users[0].token, { channel: channels.at(-1), text: 'calm' });
        return r.ok && (await Promise.all(listeners.map((w) => w.event((e) => e.ts === r.ts, 'a calm message', 1000 * slow).catch(() => false)))).every(Boolean);
      }, 'a calm message at every listener');
      await audit(it, channels, result);
      await Promise.all(listeners.map((w) => w.bye()));
      await recovered(it);
    });
  }

  test('refused requests give their memory back, whatever they were refused for', async () => {
    const it = await up({ 'http.arenas_bytes_max': 65536 }); // four requests at a time
    const { token } = it.demo.users[0];
    const c = await Conn.open(it.parley.port);
    for (const [method, who, args, error] of [['chat.postMessage', token, { channel: 'C1', text: 'x' }, 'channel_not_found'], ['auth.test', 'xoxp-bad', {}, 'invalid_auth'], ['no.such', token, {}, 'unknown_method'], ['chat.postMessage', token, { channel: it.channel }, 'no_text'], ['conversations.history', token, { channel: it.channel, limit: -1 }, 'invalid_limit']])
      for (let i = 0; i < 10; i++) assert.equal((await c.call(method, who, args)).error, error);
    for (let i = 0; i < 10; i++) assert.match((await raw(it.parley.port, 'BAD\r\n\r\n')).text, /^HTTP\/1\.1 400 /);
    c.end();
    await recovered(it);
  });

  test('one RTM request under way on a socket: the rest waits unread, all are answered', async () => {
    const it = await up({ 'ws.requests_max': 1 });
    const w = await rtm(it.parley, it.demo.users[0].token);
    w.write(Buffer.concat(Array.from({ length: 50 }, (_, i) => frame(OP.TEXT, JSON.stringify({ id: i + 1, type: 'message', channel: it.channel, text: `rtm ${i}` })))));
    await w.until(() => w.events.filter((e) => e.reply_to).length === 50, '50 replies');
    assert.deepEqual(w.events.filter((e) => e.reply_to).map((e) => [e.reply_to, e.ok]), Array.from({ length: 50 }, (_, i) => [i + 1, true]));
    await w.bye();
    await recovered(it);
  });

  test('RTM requests against a request ring of 2: answered or told to slow down, never lost', async () => {
    const it = await up({ 'ring.request_cells': 2 });
    const sockets = await Promise.all(Array.from({ length: 6 }, () => rtm(it.parley, it.demo.users[0].token)));
    const n = 20;
    sockets.forEach((w, s) => w.write(Buffer.concat(Array.from({ length: n }, (_, i) => frame(OP.TEXT, JSON.stringify({ id: i + 1, type: 'message', channel: it.channel, text: `ring ${s} ${i}` }))))));
    const texts = new Set();
    for (const [s, w] of sockets.entries()) {
      await w.until(() => w.events.filter((e) => e.reply_to).length === n, 'all replies');
      for (const e of w.events.filter((x) => x.reply_to)) {
        if (e.ok) texts.add(`ring ${s} ${e.reply_to - 1}`);
        else assert.equal(typeof e.error.msg, 'string');
      }
    }
    const rows = (await history(it.parley, it.demo.users[0].token, it.channel)).filter((m) => m.text.startsWith('ring'));
    assert.deepEqual(rows.map((m) => m.text).sort(), [...texts].sort());
    await Promise.all(sockets.map((w) => w.bye()));
    await recovered(it);
  });

  test('2 HTTP connections: a third waits in the backlog and is served when one leaves', async () => {
    const it = await up({ 'http.conns_max': 2 });
    const [a, b] = [await Conn.open(it.parley.port), await Conn.open(it.parley.port)];
    assert.ok((await a.call('api.test', null)).ok && (await b.call('api.test', null)).ok);
    const third = await Conn.open(it.parley.port); // the kernel's backlog
    let served = false;
    const answer = third.call('api.test', null).then((r) => { served = true; return r; });
    for (let i = 0; i < 5; i++) assert.ok((await a.call('api.test', null)).ok);
    assert.equal(served, false);
    b.end();
    assert.ok((await answer).ok);
    a.end();
    third.end();
    const many = await Promise.all(Array.from({ length: 40 }, () => raw(it.parley.port, post('api.test', null, '{}', { Connection: 'close' }), { ms: 20000 })));
    assert.ok(many.every((r) => answers(r.text)[0]?.json?.ok));
    await recovered(it);
  });

  test('2 WebSockets: a third upgrade gets 503 and works when one leaves', async () => {
    const it = await up({ 'ws.conns_max': 2 });
    const { token } = it.demo.users[0];
    const [a, b] = [await rtm(it.parley, token), await rtm(it.parley, token)];
    for (let i = 0; i < 5; i++) {
      const { url } = await it.parley.call('rtm.connect', token);
      const third = await Ws.open(url);
      assert.equal(third.status, 503);
      assert.match(third.headers['retry-after'], /^[1-9]$/);
      third.destroy();
    }
    await a.bye();
    const again = await eventually(() => rtm(it.parley, token).catch(() => undefined), 'room again');
    await Promise.all([b.bye(), again.bye()]);
    await recovered(it);
  });

  test('2 tickets: a third rtm.connect gets 503 until one is used or old', async () => {
    const it = await up({ 'ws.tickets_max': 2, 'ws.ticket_ms': 1000 * slow });
    const { token } = it.demo.users[0];
    const first = await it.parley.call('rtm.connect', token);
    assert.ok((await it.parley.call('rtm.connect', token)).ok);
    const full = await it.parley.call('rtm.connect', token);
    assert.deepEqual([full.status, full.error], [503, 'service_unavailable']);
    assert.match(full.headers.get('retry-after'), /^[1-9]$/);
    const w = await Ws.open(first.url);
    assert.equal(w.status, 101);
    assert.ok((await it.parley.call('rtm.connect', token)).ok, 'a used ticket makes room');
    await eventually(async () => (await it.parley.call('rtm.connect', token)).ok, 'old tickets make room');
    w.destroy();
    await recovered(it);
  });

  test('2 subscriptions of a socket: hello says that channels are left out', async () => {
    const it = await up({ 'ws.subscriptions_max': 2 });
    await channelsOf(it, 3);
    const w = await rtm(it.parley, it.demo.users[0].token);
    assert.equal(w.events[0].type, 'hello');
    assert.equal(w.events[0].channels_left_out, true);
    w.send({ id: 1, type: 'ping' });
    await w.event((e) => e.reply_to === 1);
    await w.bye();
    const bot = await rtm(it.parley, it.demo.bot.token); // in two channels: nothing left out
    assert.equal(bot.events[0].channels_left_out, undefined);
    const r = await it.parley.call('chat.postMessage', it.demo.users[0].token, { channel: it.channel, text: 'to the bot' });
    await bot.event((e) => e.ts === r.ts);
    await bot.bye();
    await recovered(it);
  });

  test('16 tokens: the next is refused, those there work on', async () => {
    const it = await up({ 'dir.tokens_max': 16 });
    const made = [];
    let refused;
    for (let i = 0; i < 30 && !refused; i++) {
      const r = it.parley.ctlTry('--json', 'token', 'issue', 'ada');
      if (r.status === 0) made.push(JSON.parse(r.stdout).token); else refused = r;
    }
    assert.ok(refused, 'a token was refused');
    assert.match(refused.stderr, /service_unavailable/);
    for (const t of made) assert.ok((await it.parley.call('auth.test', t)).ok);
    await recovered(it);
  });

  test('2 members of a channel: the third is told too_many_members', async () => {
    const parley = await Parley.start({ settings: { 'chan.members_max': 2 } });
    parley.ctl('workspace', 'add', 'small');
    parley.ctl('user', 'add', 'one');
    parley.ctl('user', 'add', 'two');
    assert.match(parley.ctlTry('user', 'add', 'three').stderr, /too_many_members/);
    const token = parley.ctlJson('token', 'issue', 'one').token;
    const third = parley.ctlJson('token', 'issue', 'three').token;
    const { channel: { id } } = await parley.call('conversations.create', token, { name: 'two-only' });
    await parley.call('conversations.invite', token, { channel: id, users: (await parley.call('auth.test', parley.ctlJson('token', 'issue', 'two').token)).user_id });
    assert.equal((await parley.call('conversations.join', third, { channel: id })).error, 'too_many_members');
    assert.ok((await parley.call('chat.postMessage', token, { channel: id, text: 'x' })).ok);
    await parley.call('conversations.leave', token, { channel: id });
    assert.ok((await parley.call('conversations.join', third, { channel: id })).ok);
    await parley.stop();
  });

  test('control rings of 2: revocations at once all take effect', async () => {
    const it = await up({ 'ring.control_cells': 2, 'ring.request_cells': 2 });
    const tokens = Array.from({ length: 12 }, () => it.parley.ctlJson('token', 'issue', 'grace').token);
    const sockets = await Promise.all(tokens.map((t) => rtm(it.parley, t)));
    await Promise.all(tokens.map(async (t) => { it.parley.ctl('token', 'revoke', t); }));
    for (const t of tokens) assert.equal((await it.parley.call('auth.test', t)).error, 'token_revoked');
    await Promise.all(sockets.map((w) => Promise.race([w.closed, sleep(5000 * slow)])));
    assert.ok(sockets.every((w) => w.isClosed));
    await recovered(it);
  });

  test('2 TLS handshakes under way: others wait, slow ones are ended, all are served', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'parley-tls-'));
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key, '-out', cert]);
    const port = await freePort();
    const it = await up({ 'http.handshakes_max': 2, 'tls.handshake_timeout_ms': 300 }, ['--tls-listen', `127.0.0.1:${port}`, '--cert', cert, '--key', key]);
    const silent = Array.from({ length: 6 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    const served = await Promise.all(Array.from({ length: 10 }, async () => {
      const s = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(s, 'secureConnect');
      let text = '';
      s.on('data', (d) => { text += d.toString('latin1'); });
      s.write(post('api.test', null, '{}'));
      const a = await eventually(() => answers(text)[0], 'an answer');
      s.destroy();
      return a.json.ok;
    }));
    assert.ok(served.every(Boolean));
    silent.forEach((s) => s.destroy());
    await recovered(it);
    rmSync(dir, { recursive: true });
  });
});
