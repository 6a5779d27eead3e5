// The promise: ok means stored, once, in order; also through kill -9.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Parley, Conn, history, level, sleep } from './harness.mjs';

let parley, demo, channel, token;
before(async () => {
  parley = await Parley.start();
  demo = parley.demo();
  channel = demo.channels.random.id;
  token = demo.users[0].token;
});
after(() => parley.stop());

test('a retry with the same key gives the first ts, once stored', async () => {
  const id = randomUUID();
  const answers = await Promise.all(Array.from({ length: 20 }, () => parley.call('chat.postMessage', token, { channel, text: 'once', client_msg_id: id })));
  assert.ok(answers.every((a) => a.ok), JSON.stringify(answers.find((a) => !a.ok)));
  assert.equal(new Set(answers.map((a) => a.ts)).size, 1);
  assert.ok(answers.every((a) => a.message.text === 'once' && a.message.client_msg_id === id));
  const other = await parley.call('chat.postMessage', token, { channel, text: 'something else', client_msg_id: id });
  assert.equal(other.ts, answers[0].ts);
  assert.equal(other.message.text, 'once');
  const rows = (await history(parley, token, channel)).filter((m) => m.client_msg_id === id);
  assert.equal(rows.length, 1);
});

test('retries that come while the first is under way: one row, one ts', async () => {
  const conns = await Promise.all(Array.from({ length: 8 }, () => Conn.open(parley.port)));
  for (let round = 0; round < 20; round++) {
    const id = randomUUID();
    // at once on every connection, and several behind one another on each
    const got = await Promise.all(conns.flatMap((c) => [0, 1, 2].map(() => c.call('chat.postMessage', token, { channel, text: `pending ${round}`, client_msg_id: id }))));
    assert.ok(got.every((a) => a.ok), JSON.stringify(got.find((a) => !a.ok)));
    assert.equal(new Set(got.map((a) => a.ts)).size, 1);
  }
  conns.forEach((c) => c.end());
  const rows = (await history(parley, token, channel)).filter((m) => m.text.startsWith('pending'));
  assert.equal(rows.length, 20);
});

test('another sender and another channel with the same key are messages of their own', async () => {
  const id = randomUUID();
  const a = await parley.call('chat.postMessage', token, { channel, text: 'a', client_msg_id: id });
  const b = await parley.call('chat.postMessage', demo.users[1].token, { channel, text: 'b', client_msg_id: id });
  const c = await parley.call('chat.postMessage', token, { channel: demo.channels.general.id, text: 'c', client_msg_id: id });
  assert.deepEqual([a.message.text, b.message.text, c.message.text], ['a', 'b', 'c']);
  assert.notEqual(a.ts, b.ts);
});

test('keys that are not UUIDs work up to 255 bytes', async () => {
  for (const id of ['x', 'é'.repeat(100), 'k'.repeat(255)]) {
    const a = await parley.call('chat.postMessage', token, { channel, text: 'k', client_msg_id: id });
    const b = await parley.call('chat.postMessage', token, { channel, text: 'k', client_msg_id: id });
    assert.equal(a.ok, true);
    assert.equal(a.ts, b.ts);
  }
  const long = await parley.call('chat.postMessage', token, { channel, text: 'k', client_msg_id: 'k'.repeat(256) });
  assert.equal(long.error, 'invalid_client_msg_id');
});

test('a key survives a restart', async () => {
  const id = randomUUID();
  const a = await parley.call('chat.postMessage', token, { channel, text: 'before', client_msg_id: id });
  await parley.restart();
  const b = await parley.call('chat.postMessage', token, { channel, text: 'after', client_msg_id: id });
  assert.equal(b.ok, true);
  assert.equal(b.ts, a.ts);
  assert.equal(b.message.text, 'before');
});

test('kill -9 at random moments under load: nothing lost, doubled or reordered', async () => {
  const acked = new Map(); // key -> ts
  let stop = false;
  const sender = async (user, n) => {
    for (let i = 0; !stop; i++) {
      const id = `${n}-${i}`;
      for (let done = false; !done;) {
        try {
          const r = await parley.call('chat.postMessage', user.token, { channel, text: id, client_msg_id: id });
          if (r.ok) {
            acked.set(id, r.ts);
            done = true;
          } else {
            assert.ok(r.status === 503, r.error);
            await sleep(20);
          }
        } catch (e) {
          if (e instanceof assert.AssertionError) throw e;
          await sleep(20); // the daemon is down: the same key again
        }
      }
    }
  };
  const senders = demo.users.flatMap((u, n) => [0, 1].map((k) => sender(u, `s${n}${k}`)));
  for (let cycle = 0; cycle < (level === 'full' ? 30 : 5); cycle++) {
    await sleep(150 + Math.random() * 300);
    await parley.restart();
  }
  await sleep(200);
  stop = true;
  await Promise.all(senders);
  const rows = await history(parley, token, channel);
  const byText = new Map();
  for (const m of rows) byText.set(m.text, [...(byText.get(m.text) ?? []), m.ts]);
  for (const [id, ts] of acked) assert.deepEqual(byText.get(id), [ts], `message ${id}`);
  const ts = rows.map((m) => m.ts);
  assert.deepEqual(ts, [...ts].sort().reverse());
  assert.equal(new Set(ts).size, ts.length);
  for (let n = 0; n < senders.length; n++) {
    const own = rows.filter((m) => m.text.startsWith(`s${Math.floor(n / 2)}${n % 2}-`)).map((m) => Number(m.text.split('-')[1])).reverse();
    assert.deepEqual(own, own.map((_, i) => i), 'each sender in order');
  }
});

test('SIGTERM finishes what was taken and exits 0', async () => {
  const answers = [];
  const posts = Array.from({ length: 50 }, (_, i) => parley.call('chat.postMessage', token, { channel, text: `drain ${i}`, client_msg_id: `drain-${i}` }).then((r) => answers.push(r), () => {}));
  await sleep(5);
  const exit = await parley.term();
  assert.deepEqual(exit, { code: 0, signal: null });
  await Promise.all(posts);
  await parley.up();
  const texts = new Set((await history(parley, token, channel)).map((m) => m.ts));
  for (const a of answers) if (a.ok) assert.ok(texts.has(a.ts));
});
