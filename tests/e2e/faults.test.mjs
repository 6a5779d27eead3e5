// A disk that is full, breaks, or lies still: faults injected below RocksDB, seen from outside.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { spawnSync } from 'node:child_process';
import WebSocket from 'ws';
import { Parley, bin, eventually, history, level, slow, sleep } from './harness.mjs';
import { FaultyDisk } from '../faults/disks.mjs';

if (level === 'quick') test('faults below the store', { skip: 'runs from level normal on' });

// A daemon on a faulty disk, its demo workspace, and a listener that keeps every message event.
async function withDisk(name, body, options = {}) {
  if (level === 'quick') return;
  await test(name, { timeout: 120000 * slow }, async () => {
    const disk = await FaultyDisk.mount(bin);
    const parley = new Parley({ data: disk.data, ...options });
    try {
      await parley.up();
      const demo = parley.demo();
      const world = { disk, parley, demo, channel: demo.channels.random.id, token: demo.users[0].token };
      await listen(world);
      await body(world);
      disk.tell('clear');
      if (!parley.exit) await parley.stop();
    } catch (e) {
      e.message += `\n${parley.log.slice(-3000)}`;
      throw e;
    } finally {
      disk.tell('clear');
      parley.child?.kill('SIGKILL');
      await parley.exited;
      await disk.unmount();
    }
  });
}

async function listen(world) {
  world.heard = [];
  const rtm = await world.parley.call('rtm.connect', world.demo.users[1].token);
  assert.equal(rtm.ok, true, rtm.error);
  const ws = new WebSocket(rtm.url);
  ws.on('message', (data) => {
    const event = JSON.parse(data);
    if (event.type === 'message') world.heard.push(event.text);
    if (event.type === 'hello') ws.emit('hello');
  });
  ws.on('error', () => {});
  await once(ws, 'hello');
  world.socket = ws;
}

const post = (w, id) => w.parley.call('chat.postMessage', w.token, { channel: w.channel, text: id, client_msg_id: id });
const texts = async (w) => (await history(w.parley, w.token, w.channel)).map((m) => m.text).reverse();

async function postOk(w, id) {
  const r = await post(w, id);
  assert.equal(r.ok, true, `${id}: ${r.error}`);
  return r;
}

// The same key until it is taken; how long that took, and the answer.
async function postUntilOk(w, id, ms) {
  const from = Date.now();
  const r = await eventually(async () => { const a = await post(w, id); return a.ok && a; }, `${id} is taken`, ms);
  return { ...r, took: Date.now() - from };
}

function assertRefused(r, errors) {
  assert.equal(r.ok, false);
  assert.equal(r.status, 503);
  assert.ok(errors.includes(r.error), r.error);
  assert.match(r.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
}

// While `rules` stand every post is refused and nothing of it is seen; afterwards the same keys are taken, once.
async function refuseAndResume(w, rules, errors) {
  for (let i = 0; i < 5; i++) await postOk(w, `before ${i}`);
  const before = await texts(w);
  w.disk.tell(...rules);
  const until = Date.now() + 3000;
  for (let i = 0; Date.now() < until; i++) {
    const answers = await Promise.all([0, 1, 2, 3].map((k) => post(w, `during ${i % 3} ${k}`)));
    for (const a of answers) assertRefused(a, errors);
    assert.deepEqual(await texts(w), before, 'reads go on and show nothing new');
    assert.equal((await w.parley.call('auth.test', w.token)).ok, true);
    await sleep(100);
  }
  assert.deepEqual(w.heard.filter((t) => t.startsWith('during')), []);
  w.disk.tell('clear');
  const { took } = await postUntilOk(w, 'during 0 0', 20000 * slow);
  assert.ok(took < 5000 * slow, `writes resumed after ${took} ms`);
  const ts = new Map();
  for (let i = 0; i < 3; i++) {
    for (const k of [0, 1, 2, 3]) {
      const id = `during ${i} ${k}`;
      const pair = await Promise.all([post(w, id), post(w, id)]);
      assert.ok(pair[0].ok && pair[0].ts === pair[1].ts, 'the same key gives one message');
      ts.set(id, pair[0].ts);
    }
  }
  const rows = await history(w.parley, w.token, w.channel);
  for (const [id, t] of ts) assert.deepEqual(rows.filter((m) => m.text === id).map((m) => m.ts), [t]);
  assert.equal(rows.length, before.length + ts.size);
  assert.deepEqual(rows.map((m) => m.ts), rows.map((m) => m.ts).sort().reverse());
  await eventually(() => [...ts.keys()].every((id) => w.heard.filter((t) => t === id).length === 1), 'each is heard once');
  assert.equal(w.parley.exit, undefined, 'without a restart');
  await w.parley.restart();
  assert.equal((await history(w.parley, w.token, w.channel)).length, rows.length);
}

await withDisk('disk full: refused, unseen, resumed without a restart', (w) => refuseAndResume(w, ['full on'], ['disk_full', 'storage_unavailable']));

await withDisk('disk full in the middle of a record', (w) => refuseAndResume(w, ['rule write short=40 times=1 match=*.log', 'full on'], ['disk_full', 'storage_unavailable']));

await withDisk('I/O error on write: refused, unseen, resumed without a restart', (w) => refuseAndResume(w, ['rule write eio'], ['storage_unavailable']));

await withDisk('full again and again under load: what was answered ok is there, once, in order', async (w) => {
  const acked = new Map();
  let stop = false;
  const sender = async (user, n) => {
    for (let i = 0; !stop; i++) {
      const id = `${n}-${i}`;
      for (let done = false; !done && !stop;) {
        const r = await w.parley.call('chat.postMessage', user.token, { channel: w.channel, text: id, client_msg_id: id });
        if (r.ok) { acked.set(id, r.ts); done = true; } else { assertRefused(r, ['disk_full', 'storage_unavailable', 'service_unavailable']); await sleep(30); }
      }
    }
  };
  const senders = w.demo.users.map((u, n) => sender(u, n));
  for (let i = 0; i < 4; i++) {
    await sleep(400);
    w.disk.tell(i % 2 ? 'rule write eio times=3' : 'full on');
    await sleep(700);
    w.disk.tell('clear');
    await sleep(2500);
  }
  stop = true;
  await Promise.all(senders);
  const rows = await history(w.parley, w.token, w.channel);
  const seen = new Map();
  for (const m of rows) seen.set(m.text, [...(seen.get(m.text) ?? []), m.ts]);
  assert.ok(acked.size > 20, `${acked.size} posts`);
  for (const [id, ts] of acked) assert.deepEqual(seen.get(id), [ts], id);
  for (const [id, list] of seen) assert.equal(list.length, 1, id);
  for (const text of w.heard) assert.ok(seen.has(text), `${text} was heard and is not in history`);
});

await withDisk('little space left: refused up front, before the disk says so', async (w) => {
  await postOk(w, 'before');
  w.disk.tell('free 4');
  let n = 0; // a new message each time: a known key is answered from what is stored
  await eventually(async () => (await post(w, `probe ${n++}`)).error === 'disk_full', 'the daemon sees it');
  const writes = w.disk.counts(/\.log$/).write;
  for (let i = 0; i < 20; i++) assertRefused(await post(w, `during ${i}`), ['disk_full']);
  assert.equal(w.disk.counts(/\.log$/).write, writes, 'no write was tried');
  assertRefused(await w.parley.call('conversations.create', w.token, { name: 'no-space' }), ['disk_full']);
  assert.equal((await w.parley.call('conversations.history', w.token, { channel: w.channel })).ok, true);
  w.parley.ctl('token', 'revoke', w.demo.users[2].token); // rights can be taken away all the same
  assert.equal((await w.parley.call('auth.test', w.demo.users[2].token)).error, 'token_revoked');
  w.disk.tell('clear');
  assert.ok((await postUntilOk(w, 'during 0', 20000 * slow)).took < 5000 * slow);
}, { settings: { 'search.delay_ms': 60000 } }); // nor one of the index, of what was stored before

await withDisk('start on a full disk: refused with the reason, and up when there is space', async (w) => {
  await postOk(w, 'before');
  await w.parley.kill();
  w.disk.tell('full on');
  await assert.rejects(w.parley.up());
  assert.deepEqual(w.parley.exit, { code: 1, signal: null });
  assert.match(w.parley.log, /"event":"store_open_failed"[^\n]*No space left on device/);
  w.disk.tell('clear');
  w.parley.exit = undefined;
  await w.parley.up();
  await postOk(w, 'after');
  assert.deepEqual(await texts(w), ['before', 'after']);
});

await withDisk('failed fsync: the process ends, and what was answered ok is there', async (w) => {
  const acked = new Map();
  for (let i = 0; i < 5; i++) acked.set(`before ${i}`, (await postOk(w, `before ${i}`)).ts);
  w.disk.tell('rule fsync eio match=*.log');
  const during = await Promise.allSettled([0, 1, 2, 3].map((k) => post(w, `during ${k}`)));
  for (const d of during) assert.ok(d.status === 'rejected' || !d.value.ok, 'nothing is answered ok');
  assert.deepEqual(await w.parley.exited, { code: 70, signal: null });
  assert.match(w.parley.log, /"event":"store_sync_failed"/);
  assert.deepEqual(w.heard.filter((t) => t.startsWith('during')), []);
  w.disk.tell('clear');
  w.parley.exit = undefined;
  await w.parley.up();
  for (const [id, ts] of acked) assert.deepEqual((await history(w.parley, w.token, w.channel)).filter((m) => m.text === id).map((m) => m.ts), [ts]);
  for (let k = 0; k < 4; k++) {
    const a = await postOk(w, `during ${k}`);
    assert.equal((await postOk(w, `during ${k}`)).ts, a.ts);
    assert.deepEqual((await history(w.parley, w.token, w.channel)).filter((m) => m.text === `during ${k}`).map((m) => m.ts), [a.ts]);
  }
});

await withDisk('fsync that takes two seconds: no answer and no frame before it, reads go on, batches grow', async (w) => {
  await postOk(w, 'before');
  const batches = (await w.parley.metrics()).parley_log_batches_total;
  w.disk.tell('rule fsync delay=2000 match=*.log');
  const from = Date.now();
  let answered = 0;
  const posts = Array.from({ length: 40 }, (_, i) => sleep(i * 10).then(() => post(w, `slow ${i}`)).then((r) => { answered++; return r; }));
  for (let i = 0; i < 10; i++) {
    await sleep(120);
    const t = Date.now();
    assert.deepEqual(await texts(w), ['before']);
    assert.ok(Date.now() - t < 500 * slow, 'reads do not wait for the disk');
  }
  if (Date.now() - from < 1900) assert.equal(answered, 0);
  assert.deepEqual(w.heard.filter((t) => t.startsWith('slow') && Date.now() - from < 1900), []);
  for (const r of await Promise.all(posts)) assert.equal(r.ok, true, r.error);
  assert.ok(Date.now() - from >= 2000);
  w.disk.tell('clear');
  const grown = (await w.parley.metrics()).parley_log_batches_total - batches;
  assert.ok(grown <= 4, `40 posts in ${grown} batches`);
  await eventually(() => w.heard.filter((t) => t.startsWith('slow')).length === 40, 'all are heard');
  // The operator sees which stage it was, and was told while it lasted; the sync was not disturbed.
  await eventually(() => w.parley.ctlJson('slow').requests.filter((r) => r.durable_us > 1_000_000).length === 40, 'all are slow');
  for (const r of w.parley.ctlJson('slow').requests.slice(0, 40)) assert.ok(r.durable_us > r.server_us / 2 && r.method === 'chat.postMessage', JSON.stringify(r));
  assert.match(w.parley.log, /"event":"loop_stuck","loop":"log0","ms":\d+,"does":"system call \d+"}/);
  await eventually(() => w.parley.log.includes('"event":"loop_moves","loop":"log0"'), 'it moves');
});

await withDisk('failed fsync of a file the memtable goes to: the process ends too', async (w) => {
  w.disk.tell('rule fsync eio match=*.sst');
  const acked = new Map();
  const text = 'x'.repeat(8000);
  for (let i = 0; i < 200 && !w.parley.exit; i++) {
    try {
      const r = await w.parley.call('chat.postMessage', w.token, { channel: w.channel, text: `${i} ${text}`, client_msg_id: `${i}` });
      if (r.ok) acked.set(r.ts, `${i} ${text}`);
    } catch { break; }
  }
  assert.deepEqual(await w.parley.exited, { code: 70, signal: null });
  w.disk.tell('clear');
  w.parley.exit = undefined;
  await w.parley.up();
  const rows = new Map((await history(w.parley, w.token, w.channel)).map((m) => [m.ts, m.text]));
  assert.ok(acked.size > 0);
  for (const [ts, t] of acked) assert.equal(rows.get(ts), t);
}, { settings: { 'store.memtable_bytes': 65536 } });

await withDisk('I/O error on read: named, never "absent", gone when the disk reads again', async (w) => {
  for (let i = 0; i < 20; i++) await postOk(w, `stored ${i}`);
  await w.parley.term(); // a stop makes files of all rows
  await w.parley.up(); // whose blocks are not in memory yet
  w.disk.tell('rule read eio match=*.sst');
  const r = await w.parley.call('conversations.history', w.token, { channel: w.channel });
  assertRefused(r, ['storage_unavailable']);
  await eventually(() => /"event":"store_read_failed"/.test(w.parley.log), 'the log names it');
  w.disk.tell('clear');
  assert.equal((await texts(w)).length, 20);
}, { settings: { 'search.delay_ms': 60000 } }); // the index reads them too, and would leave them in memory

// ---- damage to what is stored ----

const files = (w, ending) => readdirSync(join(w.disk.below, 'store')).filter((f) => f.endsWith(ending)).sort().map((f) => join(w.disk.below, 'store', f));

function flip(path, offset) {
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, offset);
  byte[0] ^= 0x10;
  writeSync(fd, byte, 0, 1, offset);
  closeSync(fd);
}

function indexOf(path, text) {
  const r = spawnSync('grep', ['-obaF', text, path], { encoding: 'utf8' });
  return Number(r.stdout.split(':')[0] || NaN);
}

await withDisk('a flipped bit in a stored file: the read fails by name, no wrong answer', async (w) => {
  for (let i = 0; i < 50; i++) await postOk(w, `stored ${i}`);
  const before = await texts(w);
  await w.parley.term(); // a stop makes files of all rows
  const small = files(w, '.sst').filter((f) => statSync(f).size > 200);
  assert.ok(small.length > 0);
  for (const f of small) flip(f, 100);
  let started = true;
  try { await w.parley.up(); } catch { started = false; }
  if (started) {
    const r = await w.parley.call('conversations.history', w.token, { channel: w.channel, limit: 200 });
    if (r.ok) assert.deepEqual(r.messages.map((m) => m.text).reverse(), before);
    else assert.ok([500, 503].includes(r.status), `${r.status} ${r.error}`);
  }
  await eventually(() => /Corruption: block checksum mismatch[^\n]*\.sst/.test(w.parley.log), 'the log names the file');
  if (started) await w.parley.kill();
  w.parley.exit = undefined;
  for (const f of small) flip(f, 100);
  await w.parley.up();
  assert.deepEqual(await texts(w), before);
});

await withDisk('a flipped bit in the log: refused to start, by name', async (w) => {
  for (let i = 0; i < 20; i++) await postOk(w, `logged ${i}`);
  const before = await texts(w);
  await w.parley.kill();
  const log = files(w, '.log').find((f) => indexOf(f, 'logged 10') > 0);
  const at = indexOf(log, 'logged 10');
  flip(log, at);
  await assert.rejects(w.parley.up());
  assert.match(w.parley.log, /\.log: dropping \d+ bytes; Corruption/);
  assert.match(w.parley.log, /"event":"store_open_failed"/);
  flip(log, at);
  w.parley.exit = undefined;
  await w.parley.up();
  assert.deepEqual(await texts(w), before);
});

await withDisk('a log that was cut within its last record is recovered', async (w) => {
  for (let i = 0; i < 20; i++) await postOk(w, `logged ${i}`);
  await w.parley.kill();
  const log = files(w, '.log').find((f) => indexOf(f, 'logged 19') > 0);
  truncateSync(log, indexOf(log, 'logged 19'));
  await w.parley.up();
  assert.deepEqual(await texts(w), Array.from({ length: 19 }, (_, i) => `logged ${i}`));
  const again = await postOk(w, 'logged 19');
  assert.equal((await postOk(w, 'logged 19')).ts, again.ts);
  assert.equal((await texts(w)).length, 20);
});
