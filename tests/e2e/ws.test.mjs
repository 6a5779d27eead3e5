// WebSockets over real sockets, by a client of the tests' own: framing, tickets, who sees what.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { Parley, raw, answers, history, eventually, at, some, slow, sleep } from './harness.mjs';
import { Ws, rtm, frame, closePayload, upgradeRequest, OP } from './ws.mjs';

describe('WebSocket framing', at('ws'), () => {
  let parley, demo, token;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    token = demo.users[0].token;
  });
  after(() => parley.stop());

  const text = (s, o) => frame(OP.TEXT, s, o);
  const big = JSON.stringify({ id: 1, type: 'ping', pad: 'x'.repeat(16384) });
  const rows = [
    ['an unmasked frame', text('{}', { mask: false }), 1002],
    ['reserved bit 1', text('{}', { rsv: 4 }), 1002],
    ['reserved bit 2', text('{}', { rsv: 2 }), 1002],
    ['reserved bit 3', text('{}', { rsv: 1 }), 1002],
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((op) => [`opcode ${op}`, frame(op, 'x'), 1002]),
    ['a continuation without a beginning', frame(OP.CONT, 'x'), 1002],
    ['a text inside a fragmented text', Buffer.concat([text('{', { fin: false }), text('}')]), 1002],
    ['a fragmented ping', frame(OP.PING, 'x', { fin: false }), 1002],
    ['a fragmented close', frame(OP.CLOSE, closePayload(1000), { fin: false }), 1002],
    ['a ping of 126 bytes', frame(OP.PING, 'x'.repeat(126)), 1002],
    ['16 bits for a length of 2', text('{}', { lenForm: 16 }), 1002],
    ['64 bits for a length of 2', text('{}', { lenForm: 64 }), 1002],
    ['64 bits for a length of 300', text('x'.repeat(300), { lenForm: 64 }), 1002],
    ['the top bit of a length', text('', { lenForm: 64, len: 1n << 63n }), 1002],
    ['a declared length of 2^62', text('', { lenForm: 64, len: 1n << 62n }), 1009],
    ['a message over 16 KiB', text(big), 1009],
    ['fragments that add up over 16 KiB', Buffer.concat([text(big.slice(0, 9000), { fin: false }), frame(OP.CONT, big.slice(9000))]), 1009],
    ['bad UTF-8', text(Buffer.from([0x22, 0xff, 0x22])), 1007],
    ['an overlong form', text(Buffer.from([0xc0, 0xaf])), 1007],
    ['a surrogate in UTF-8', text(Buffer.from([0xed, 0xa0, 0x80])), 1007],
    ['UTF-8 cut at the end of the message', text(Buffer.from([0xe2, 0x82])), 1007],
    ['bad UTF-8 in an unfinished fragment', text(Buffer.from([0x7b, 0xff]), { fin: false }), 1007],
    ['bad UTF-8 before the frame is whole', text(Buffer.from([0x7b, 0xff]), { lenForm: 16, len: 5000 }), 1007],
    ['a character cut by fragments, then broken', Buffer.concat([text(Buffer.from([0xe2, 0x82]), { fin: false }), frame(OP.CONT, Buffer.from([0x41]), { fin: false })]), 1007],
    ['a binary message', frame(OP.BINARY, 'x'), 1003],
    ['a close of one byte', frame(OP.CLOSE, Buffer.from([3])), 1002],
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map((c) => [`close code ${c}`, frame(OP.CLOSE, closePayload(c)), 1002]),
    ['a close with bad UTF-8', frame(OP.CLOSE, closePayload(1000, Buffer.from([0xff]))), [1002, 1007]],
    ['endless empty fragments', Buffer.concat([text('', { fin: false }), ...Array.from({ length: 3000 }, () => frame(OP.CONT, '', { fin: false }))]), [1002, 1008, 1009]],
  ];

  test('what breaks the protocol is closed with its code, at once', async (t) => {
    const lanes = 6;
    await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
      for (let i = lane; i < rows.length; i += lanes) {
        const [name, bytes, code] = rows[i];
        await t.test(name, async () => {
          const ws = await rtm(parley, token);
          ws.write(bytes);
          // what follows must not be run
          ws.write(text(JSON.stringify({ id: 7, type: 'message', channel: demo.channels.random.id, text: `after ${name}` })));
          const { code: got } = await Promise.race([ws.closed, sleep(5000 * slow, {})]);
          ws.destroy();
          assert.ok([code].flat().includes(got), `${name}: closed with ${got}, wanted ${code}`);
          assert.equal(ws.broken, undefined);
        });
      }
    }));
    assert.deepEqual((await history(parley, token, demo.channels.random.id)).filter((m) => m.text.startsWith('after')), []);
  });

  test('legal but odd: fragments with pings between, byte by byte, lengths at their edges', async () => {
    const ws = await rtm(parley, token);
    const ping = JSON.stringify({ id: 1, type: 'ping', note: 'é🎉' });
    const b = Buffer.from(ping);
    ws.write(Buffer.concat([text(b.subarray(0, b.length - 5), { fin: false }), frame(OP.PING, 'between'), frame(OP.CONT, b.subarray(b.length - 5, b.length - 4), { fin: false }), frame(OP.CONT, b.subarray(b.length - 4))]));
    assert.equal((await ws.event((e) => e.reply_to === 1)).note, 'é🎉');
    await ws.pong('between');
    for (const byte of text(JSON.stringify({ id: 2, type: 'ping' }))) {
      ws.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await ws.event((e) => e.reply_to === 2);
    let id = 10;
    for (const n of [125, 126, 127, 16384]) {
      const bare = JSON.stringify({ id: ++id, type: 'ping', pad: '' });
      const s = JSON.stringify({ id, type: 'ping', pad: 'y'.repeat(n - bare.length) });
      assert.equal(s.length, n);
      ws.write(text(s));
      const want = id;
      assert.equal((await ws.event((e) => e.reply_to === want)).pad.length, n - bare.length);
    }
    for (const p of ['', 'x', 'x'.repeat(125), Buffer.from([0, 255, 128])]) {
      ws.write(frame(OP.PING, p));
      await ws.pong(p);
    }
    ws.write(frame(OP.PONG, 'unasked'));
    ws.write(text('', {}));
    ws.write(text('{ "kind": "ping" }')); // slackbots sends this
    ws.send({ id: 99, type: 'ping' });
    await ws.event((e) => e.reply_to === 99);
    assert.deepEqual(await ws.bye(), { code: 1000, reset: false });
    assert.equal(ws.broken, undefined);
  });

  test('every valid close is answered with its code and TCP is closed at once', async () => {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4999]) {
      const ws = await rtm(parley, token);
      const from = Date.now();
      ws.write(frame(OP.CLOSE, closePayload(code, 'why')));
      assert.equal((await ws.closed).code, code);
      assert.ok(Date.now() - from < 2000 * slow);
    }
    const bare = await rtm(parley, token);
    bare.write(frame(OP.CLOSE));
    assert.ok([1000, 1005].includes((await bare.closed).code));
  });

  test('a ping flood from one who reads nothing is bounded and hurts no neighbour', async () => {
    const flood = await rtm(parley, token);
    const neighbour = await rtm(parley, demo.users[1].token);
    flood.pause();
    const ping = frame(OP.PING, 'x'.repeat(125));
    const burst = Buffer.concat(Array.from({ length: 500 }, () => ping));
    let written = 0;
    const until = Date.now() + 1500;
    while (Date.now() < until && written < 64 << 20) {
      written += burst.length;
      if (!flood.write(burst)) await Promise.race([new Promise((r) => flood.socket.once('drain', r)), sleep(200)]);
    }
    neighbour.send({ id: 1, type: 'ping' });
    await neighbour.event((e) => e.reply_to === 1, 'the neighbour is served', 3000 * slow);
    flood.destroy();
    await neighbour.bye();
  });

  test('upgrades that are not one', async () => {
    const { url } = await parley.call('rtm.connect', token);
    const u = new URL(url);
    const ask = async (headers, path = u.pathname) => answers((await raw(parley.port, upgradeRequest(path, u.host, { headers: { ...headers } }), { until: /\}\s*$/ })).text)[0];
    assert.equal((await ask({ Upgrade: undefined })).status, 426);
    assert.equal((await ask({ Upgrade: 'h2c' })).status, 426);
    const version = await ask({ 'Sec-WebSocket-Version': '8' });
    assert.equal(version.status, 426);
    assert.equal(version.headers['sec-websocket-version'], '13');
    for (const key of [undefined, '', 'x', 'AAAA', 'A'.repeat(24)]) assert.ok([400, 426].includes((await ask({ 'Sec-WebSocket-Key': key })).status), key);
    assert.equal((await ask({}, `${u.pathname}0`)).status, 403);
    assert.equal((await ask({}, u.pathname.slice(0, -1))).status, 403);
    assert.ok([403, 404].includes((await ask({}, u.pathname.replace(/[^/]*$/, ''))).status));
    // none of these used it up
    const ws = await Ws.open(url, { headers: { Origin: 'https://elsewhere.example', 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits', 'Sec-WebSocket-Protocol': 'x' } });
    assert.equal(ws.status, 101);
    assert.equal(ws.headers['sec-websocket-extensions'], undefined);
    assert.equal(ws.headers['sec-websocket-protocol'], undefined);
    await ws.bye();
  });

  test('frames in the same segment as the upgrade are not lost', async () => {
    const { url } = await parley.call('rtm.connect', token);
    const ws = await Ws.open(url, { first: Buffer.concat([frame(OP.TEXT, JSON.stringify({ id: 1, type: 'ping' })), frame(OP.PING, 'early')]) });
    await ws.pong('early');
    await ws.event((e) => e.reply_to === 1);
    const hello = ws.events.find((e) => e.type === 'hello') ?? await ws.event((e) => e.type === 'hello');
    assert.ok(hello);
    await ws.bye();
  });
});

describe('tickets', at('ws'), () => {
  let parley, demo, token;
  before(async () => {
    parley = await Parley.start({ settings: { 'ws.ticket_ms': 700 } });
    demo = parley.demo();
    token = demo.users[0].token;
  });
  after(() => parley.stop());
  const ticket = async () => (await parley.call('rtm.connect', token)).url;
  const refused = (ws) => {
    assert.equal(ws.status, 403, `${ws.status} ${ws.body}`);
    assert.equal(JSON.parse(ws.body).error, 'invalid_ticket');
  };

  test('a ticket has 128 random bits, in the path, and works once', async () => {
    const urls = await Promise.all(Array.from({ length: 20 }, ticket));
    assert.equal(new Set(urls).size, 20);
    for (const u of urls) assert.match(u, /^ws:\/\/127\.0\.0\.1:\d+\/[a-z]+\/[0-9a-f]{34}$/);
    const ws = await Ws.open(urls[0]);
    assert.equal(ws.status, 101);
    refused(await Ws.open(urls[0]));
    await ws.event((e) => e.type === 'hello');
    await ws.bye();
    refused(await Ws.open(urls[0]));
  });

  test('of many at once exactly one wins', async () => {
    for (let round = 0; round < some(10); round++) {
      const url = await ticket();
      const all = await Promise.all(Array.from({ length: 8 }, () => Ws.open(url)));
      assert.deepEqual(all.map((w) => w.status).sort(), [101, ...Array(7).fill(403)]);
      all.forEach((w) => w.destroy());
    }
  });

  test('expired and guessed tickets are refused', async () => {
    const url = await ticket();
    const flipped = url.slice(0, -1) + (url.endsWith('0') ? '1' : '0');
    refused(await Ws.open(flipped));
    refused(await Ws.open(url.replace(/[0-9a-f]{32}$/, '0'.repeat(32))));
    refused(await Ws.open(url.replace(/\/[0-9a-f]{2}(?=[0-9a-f]{32}$)/, '/ff')));
    await sleep(900); // the ticket's life itself is what is tested
    refused(await Ws.open(url));
  });

  test('a revoked token takes its tickets along before the call returns', async () => {
    const fresh = parley.ctlJson('token', 'issue', 'ada').token;
    const { url } = await parley.call('rtm.connect', fresh);
    parley.ctl('token', 'revoke', fresh);
    const ws = await Ws.open(url);
    assert.notEqual(ws.status, 101);
    ws.destroy();
  });
});

describe('RTM', at('ws'), () => {
  let parley, demo, ada, grace, linus, channel;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    [ada, grace, linus] = demo.users;
    channel = demo.channels.random.id;
  });
  after(() => parley.stop());

  test('hello first; messages of others and of oneself; in order; the same bytes as in history', async () => {
    const sockets = await Promise.all([ada, ada, grace, linus].map((u) => rtm(parley, u.token)));
    const bot = await rtm(parley, demo.bot.token);
    sockets.push(bot);
    sockets.forEach((w) => assert.equal(w.events[0].type, 'hello'));
    const posted = [];
    for (let i = 0; i < 30; i++) posted.push((await parley.call('chat.postMessage', demo.users[i % 3].token, { channel, text: `m${i}` })).ts);
    const rows = await history(parley, ada.token, channel);
    for (const w of sockets) {
      await w.event((e) => e.ts === posted.at(-1), 'the last message');
      const own = w.events.filter((e) => e.type === 'message');
      assert.deepEqual(own.map((e) => e.ts), posted);
      for (const e of own) {
        assert.equal(e.channel, channel);
        assert.equal(e.channel_type, 'channel');
        assert.equal(e.event_ts, e.ts);
        const { channel: c, channel_type: t, event_ts: s, ...message } = e;
        assert.deepEqual(message, rows.find((m) => m.ts === e.ts));
      }
      assert.equal(w.broken, undefined);
    }
    await Promise.all(sockets.map((w) => w.bye()));
  });

  test('ping echoes its extras, message is answered when stored, errors name their id', async () => {
    const w = await rtm(parley, ada.token);
    const other = await rtm(parley, grace.token);
    w.send({ id: 1, type: 'ping', time: 12345, note: 'x', timestamp: 1.5 });
    assert.deepEqual(await w.event((e) => e.reply_to === 1), { type: 'pong', reply_to: 1, time: 12345, note: 'x', timestamp: 1.5 });
    w.send({ id: 2, type: 'message', channel, text: 'by socket & <x>', client_msg_id: 'rtm-key-1' });
    const ok = await w.event((e) => e.reply_to === 2);
    assert.equal(ok.ok, true);
    assert.equal(ok.type, undefined);
    assert.match(ok.ts, /^\d{10}\.\d{6}$/);
    const [row] = await history(parley, ada.token, channel, { limit: 1 });
    assert.equal(row.ts, ok.ts);
    assert.equal(row.text, 'by socket &amp; &lt;x&gt;');
    assert.equal((await other.event((e) => e.ts === ok.ts)).client_msg_id, 'rtm-key-1');
    w.send({ id: 3, type: 'message', channel, text: 'again', client_msg_id: 'rtm-key-1' });
    assert.equal((await w.event((e) => e.reply_to === 3)).ts, ok.ts);
    const bad = [{ channel: 'C1', text: 'x' }, { channel, text: '' }, { channel }, { text: 'x' }, { channel, text: 'x', thread_ts: '1.000000' }, { channel: 5, text: 'x' }, { channel, text: 'x', client_msg_id: 'k'.repeat(256) }];
    for (const [i, args] of bad.entries()) {
      const id = 100 + i;
      w.send({ id, type: 'message', ...args });
      const e = await w.event((x) => x.reply_to === id, JSON.stringify(args));
      assert.equal(e.ok, false, JSON.stringify(args));
      assert.equal(typeof e.error.code, 'number');
      assert.equal(typeof e.error.msg, 'string');
    }
    for (const text of ['x', '[]', '{"id":1', '{"type":"no_such_type","id":5}', '{"id":6}', '{"id":7,"type":"presence_sub","ids":["U1"]}', '{}']) w.write(frame(OP.TEXT, text));
    w.send({ id: 200, type: 'ping' });
    await w.event((e) => e.reply_to === 200, 'still open after what it could not read');
    await Promise.all([w.bye(), other.bye()]);
  });

  test('more than 16 requests under way: all answered, in order of posting', async () => {
    const w = await rtm(parley, ada.token);
    const n = some(200);
    w.write(Buffer.concat(Array.from({ length: n }, (_, i) => frame(OP.TEXT, JSON.stringify({ id: i + 1, type: 'message', channel, text: `burst ${i}` })))));
    await w.until(() => w.events.filter((e) => e.reply_to).length === n, `${n} replies`);
    const replies = w.events.filter((e) => e.reply_to);
    assert.ok(replies.every((e) => e.ok), JSON.stringify(replies.find((e) => !e.ok)));
    const rows = (await history(parley, ada.token, channel)).filter((m) => m.text.startsWith('burst')).reverse();
    assert.deepEqual(rows.map((m) => m.text), Array.from({ length: n }, (_, i) => `burst ${i}`));
    await w.bye();
  });

  test('typing reaches the other members, not the typist, and is not stored', async () => {
    const [a, g] = await Promise.all([ada, grace].map((u) => rtm(parley, u.token)));
    a.send({ id: 1, type: 'typing', channel });
    assert.deepEqual(await g.event((e) => e.type === 'user_typing'), { type: 'user_typing', channel, user: ada.id });
    a.send({ id: 2, type: 'typing', channel: 'C1' });
    await a.flushed();
    assert.ok(!a.events.some((e) => e.type === 'user_typing'));
    await Promise.all([a.bye(), g.bye()]);
  });

  test('joins, leaves, creations: to exactly who may see them; a private channel never leaks', async () => {
    const [a, g, l] = await Promise.all([ada, grace, linus].map((u) => rtm(parley, u.token)));
    const all = [a, g, l];
    const pub = (await parley.call('conversations.create', ada.token, { name: 'open-room' })).channel.id;
    await Promise.all(all.map((w) => w.event((e) => e.type === 'channel_created' && e.channel.id === pub)));
    await a.event((e) => e.type === 'channel_joined' && e.channel.id === pub);
    await parley.call('conversations.join', grace.token, { channel: pub });
    const joined = await a.event((e) => e.type === 'member_joined_channel' && e.channel === pub);
    assert.deepEqual([joined.user, joined.channel_type, joined.team], [grace.id, 'C', demo.team.id]);
    await g.event((e) => e.type === 'channel_joined' && e.channel.id === pub);
    const said = await parley.call('chat.postMessage', ada.token, { channel: pub, text: 'in the room' });
    await Promise.all([a, g].map((w) => w.event((e) => e.ts === said.ts)));
    await parley.call('conversations.leave', grace.token, { channel: pub });
    await a.event((e) => e.type === 'member_left_channel' && e.user === grace.id && e.channel === pub);
    await g.event((e) => e.type === 'channel_left' && e.channel === pub);
    const unheard = await parley.call('chat.postMessage', ada.token, { channel: pub, text: 'grace has left' });
    await a.event((e) => e.ts === unheard.ts);
    await Promise.all(all.map((w) => w.flushed()));
    assert.ok(!g.events.some((e) => e.ts === unheard.ts), 'who left hears nothing');
    assert.ok(!l.events.some((e) => e.channel === pub), 'who never joined hears nothing');

    const made = await parley.call('conversations.create', ada.token, { name: 'vault', is_private: true });
    const priv = made.channel.id;
    await a.event((e) => e.type === 'group_joined' && e.channel.id === priv);
    await parley.call('conversations.invite', ada.token, { channel: priv, users: grace.id });
    await g.event((e) => e.type === 'group_joined' && e.channel.id === priv);
    const member = await a.event((e) => e.type === 'member_joined_channel' && e.channel === priv);
    assert.deepEqual([member.channel_type, member.inviter], ['G', ada.id]);
    const secret = await parley.call('chat.postMessage', grace.token, { channel: priv, text: 'secret words' });
    const event = await a.event((e) => e.ts === secret.ts);
    assert.equal(event.channel_type, 'group');
    g.send({ id: 5, type: 'typing', channel: priv });
    await a.event((e) => e.type === 'user_typing' && e.channel === priv);
    l.send({ id: 6, type: 'typing', channel: priv });
    l.send({ id: 7, type: 'message', channel: priv, text: 'let me in' });
    assert.equal((await l.event((e) => e.reply_to === 7)).ok, false);
    await parley.call('conversations.leave', grace.token, { channel: priv });
    await a.event((e) => e.type === 'member_left_channel' && e.channel === priv);
    await Promise.all(all.map((w) => w.flushed()));
    const heard = JSON.stringify(l.events);
    assert.ok(!heard.includes(priv) && !heard.includes('vault') && !heard.includes('secret'), 'a private channel leaked');
    assert.ok(!a.events.some((e) => e.type === 'user_typing' && e.user === linus.id));
    await Promise.all(all.map((w) => w.bye()));
  });

  test('what came between rtm.connect and hello is announced behind hello, and nothing else is', async () => {
    const { url } = await parley.call('rtm.connect', grace.token);
    const r = await parley.call('chat.postMessage', ada.token, { channel, text: 'in between' });
    const w = await Ws.open(url);
    await w.event((e) => e.type === 'refetch' && (e.all || e.channels.includes(channel)));
    assert.equal(w.events[0].type, 'hello');
    assert.ok((await history(parley, grace.token, channel, { limit: 1 }))[0].ts === r.ts);
    await w.bye();
    await sleep(1500); // the newest message is older than the clocks' margin
    const calm = await rtm(parley, grace.token);
    await calm.flushed();
    assert.deepEqual(calm.events, [{ type: 'hello' }]);
    await calm.bye();
  });

  test('who comes back gets what was missed: events where they are kept, else a hint', async () => {
    const [ada, grace] = demo.users, channel = (await parley.call('conversations.create', ada.token, { name: 'comes-back' })).channel.id;
    const post = (text, where = channel) => parley.call('chat.postMessage', ada.token, { channel: where, text });
    await parley.call('conversations.invite', ada.token, { channel, users: grace.id });
    let ws = await rtm(parley, grace.token);
    const heard = (await post('heard')).ts;
    await ws.event((m) => m.type === 'message' && m.ts === heard);
    await ws.bye();
    await sleep(1200); // more than the clocks of two threads may differ
    const before = (await post('before')).ts;
    ws = await rtm(parley, grace.token);
    await ws.event((m) => m.type === 'refetch'); // who does not say what it has got is told to fetch
    await ws.bye();
    await sleep(1200);
    const missed = (await post('missed')).ts;
    await parley.call('reactions.add', ada.token, { channel, timestamp: missed, name: 'eyes' });
    ws = await rtm(parley, grace.token, { lastTs: before });
    await ws.event((m) => m.type === 'resumed');
    let last = (await post('live')).ts;
    await ws.event((m) => m.type === 'message' && m.ts === last);
    const told = (w) => w.events.filter((m) => m.channel === channel || m.item?.channel === channel || ['refetch', 'resumed'].includes(m.type)).map((m) => m.subtype ?? m.text ?? m.type);
    assert.deepEqual(told(ws), ['before', 'missed', 'reaction_added', 'resumed', 'live']);
    await ws.bye();
    // A change alone is news too; what it takes back is told to nobody again.
    await sleep(1200);
    last = (await post('elsewhere', demo.channels.general.id)).ts;
    await sleep(1200);
    await parley.call('chat.delete', ada.token, { channel, ts: missed });
    ws = await rtm(parley, grace.token, { lastTs: last });
    await ws.event((m) => m.type === 'resumed');
    assert.deepEqual(await ws.event((m) => m.type === 'refetch'), { type: 'refetch', channels: [channel], all: false });
    assert.ok(!JSON.stringify(ws.events).includes('missed'));
    await ws.bye();
    last = (await post('last')).ts;
    await sleep(1200);
    for (let i = 0; i < 40; i++) await post(`many ${i}`);
    ws = await rtm(parley, grace.token, { lastTs: last });
    const hint = await ws.event((m) => m.type === 'refetch');
    assert.deepEqual(hint, { type: 'refetch', channels: [channel], all: false });
    await ws.bye();
    assert.equal((await parley.call('rtm.connect', grace.token, { last_ts: 'soon' })).error, 'invalid_arguments');
  });

  test('who makes a channel hears it from its first moment, as events and not as hints', async () => {
    const a = await rtm(parley, ada.token);
    const from = a.events.length;
    for (let i = 0; i < some(200); i++) {
      const { id } = (await parley.call('conversations.create', ada.token, { name: `moment-${i}`, is_private: i % 2 === 1 })).channel;
      const [, said] = await Promise.all([
        i % 2 === 1 ? parley.call('conversations.invite', ada.token, { channel: id, users: grace.id }) : parley.call('conversations.join', grace.token, { channel: id }),
        parley.call('chat.postMessage', ada.token, { channel: id, text: 'first' }),
      ]);
      await a.event((e) => e.type === 'member_joined_channel' && e.channel === id && e.user === grace.id);
      await a.event((e) => e.type === 'message' && e.channel === id && e.ts === said.ts);
    }
    const made = a.events.slice(from);
    assert.ok(!made.some((e) => e.type === 'refetch'), JSON.stringify(made.filter((e) => e.type === 'refetch')));
    assert.equal(made.filter((e) => e.type === 'channel_joined' || e.type === 'group_joined').length, some(200));
    await a.bye();
  });

  test('a socket opened while messages flow misses none behind its hello', async () => {
    const stop = { now: false };
    const posted = [];
    const poster = (async () => {
      for (let i = 0; !stop.now; i++) posted.push((await parley.call('chat.postMessage', ada.token, { channel, text: `flow ${i}` })).ts);
    })();
    for (let round = 0; round < some(8); round++) {
      const w = await rtm(parley, grace.token);
      const from = w.events.length;
      await w.until(() => w.events.length > from + 3, 'messages');
      const { ts } = w.events.find((e) => e.type === 'message');
      const last = w.events.filter((e) => e.type === 'message').at(-1).ts;
      const rows = (await history(parley, grace.token, channel, { oldest: ts, latest: last, inclusive: true })).map((m) => m.ts).reverse();
      assert.deepEqual(w.events.filter((e) => e.type === 'message' && e.ts <= last).map((e) => e.ts), rows);
      w.destroy();
    }
    stop.now = true;
    await poster;
  });
});

describe('slow and dead peers', at('slowReader'), () => {
  test('who does not read gets a refetch hint; neighbours get everything; history is whole', async () => {
    const parley = await Parley.start({ settings: { 'ws.stuck_ms': 60000, 'api.rate_posts_per_s': 100000 } });
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    const slowOne = await rtm(parley, demo.users[0].token);
    const neighbours = await Promise.all([demo.users[1], demo.users[2]].map((u) => rtm(parley, u.token)));
    slowOne.pause();
    const text = '€'.repeat(20000);
    const n = 300; // 18 MB: the kernel's buffers of one connection take about 10
    const ts = [];
    // A lane goes on when both neighbours have seen its message, so that never more than three wait for a neighbour whose
    // own process is short of time: its bound is 256 KiB too.
    const lanes = Array.from({ length: 3 }, async (_, lane) => {
      for (let i = lane; i < n; i += 3) {
        const r = await parley.call('chat.postMessage', demo.users[lane].token, { channel, text });
        assert.ok(r.ok, r.error);
        ts.push(r.ts);
        await Promise.all(neighbours.map((w) => w.event((e) => e.ts === r.ts, `the neighbour hears ${i}`, 20000 * slow)));
      }
    });
    await Promise.all(lanes);
    ts.sort();
    for (const w of neighbours) {
      await w.event((e) => e.ts === ts.at(-1), 'the neighbour has all', 20000 * slow);
      assert.deepEqual(w.events.filter((e) => e.type === 'message').map((e) => e.ts), ts);
    }
    slowOne.resume();
    await slowOne.event((e) => e.type === 'refetch' && (e.all || e.channels.includes(channel)), 'refetch', 20000 * slow);
    const got = slowOne.events.filter((e) => e.type === 'message').map((e) => e.ts);
    assert.deepEqual(got, ts.slice(0, got.length), 'what came before the hint is a prefix');
    assert.ok(got.length < n);
    const after = await parley.call('chat.postMessage', demo.users[1].token, { channel, text: 'live again' });
    await slowOne.event((e) => e.ts === after.ts, 'live again');
    assert.equal((await history(parley, demo.users[0].token, channel)).length, n + 1);
    assert.ok((await parley.metrics()).parley_events_dropped_total > 0);
    assert.equal(slowOne.broken, undefined);
    [slowOne, ...neighbours].forEach((w) => w.destroy());
    await parley.stop();
  });

  test('a stuck reader is reset after stuck_ms', async () => {
    const parley = await Parley.start({ settings: { 'ws.stuck_ms': 500, 'ws.ping_ms': 60000, 'api.rate_posts_per_s': 100000 } });
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    const stuck = await rtm(parley, demo.users[0].token);
    const other = await rtm(parley, demo.users[1].token);
    stuck.pause();
    const text = '€'.repeat(20000);
    for (let i = 0; i < 400; i++) {
      assert.ok((await parley.call('chat.postMessage', demo.users[2].token, { channel, text })).ok);
      if ((await parley.metrics()).parley_ws_slow_closed_total > 0) break;
    }
    await parley.metric('parley_ws_slow_closed_total', (v) => v === 1);
    await parley.metric('parley_ws_open', (v) => v === 1);
    other.send({ id: 1, type: 'ping' });
    await other.event((e) => e.reply_to === 1);
    stuck.resume();
    // Node shows a reset behind unread bytes as an end; what tells it from a plain close is that the rest never comes.
    assert.equal((await stuck.closed).code, undefined);
    assert.ok(stuck.bytes < 12 << 20);
    assert.ok(!stuck.events.some((e) => e.type === 'goodbye'));
    other.destroy();
    await parley.stop();
  });

  test('a half-open peer is pinged and closed after two misses; one that answers stays', async () => {
    const parley = await Parley.start({ settings: { 'ws.ping_ms': 200 } });
    const demo = parley.demo();
    const dead = await rtm(parley, demo.users[0].token);
    dead.autoPong = false;
    const alive = await rtm(parley, demo.users[1].token);
    const from = Date.now();
    await Promise.race([dead.closed, sleep(5000 * slow)]);
    assert.ok(dead.isClosed, 'closed');
    assert.ok(dead.pings.length >= 2, `${dead.pings.length} pings`);
    assert.ok(Date.now() - from >= 350, 'not before two pings');
    await alive.until(() => alive.pings.length >= 6, 'pings');
    assert.equal(alive.isClosed, undefined);
    await parley.metric('parley_ws_dead_closed_total', (v) => v === 1);
    assert.equal((await parley.metrics()).parley_ws_open, 1);
    await alive.bye();
    await parley.metric('parley_ws_open', (v) => v === 0);
    await parley.stop();
  });

  test('sockets cut at any moment leave nothing behind', async () => {
    const parley = await Parley.start();
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    for (let i = 0; i < some(40); i++) {
      const { url } = await parley.call('rtm.connect', demo.users[0].token);
      const u = new URL(url);
      const s = net.connect(Number(u.port), u.hostname).on('error', () => {});
      s.write(upgradeRequest(u.pathname, u.host));
      s.write(frame(OP.TEXT, JSON.stringify({ id: 1, type: 'message', channel, text: `cut ${i}` })));
      if (i % 3 === 0) await new Promise(setImmediate);
      if (i % 3 === 1) await sleep(i % 7);
      if (i % 2) s.resetAndDestroy(); else s.destroy();
    }
    await parley.metric('parley_ws_open', (v) => v === 0);
    await eventually(async () => (await parley.call('chat.postMessage', demo.users[0].token, { channel, text: 'well' })).ok, 'posting');
    await parley.stop();
  });
});
