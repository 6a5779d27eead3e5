// In steady state our own code takes no memory from the general heap and no lock on the path of a message. A library
// that is loaded before all others (tests/preload/count.c) counts both, by thread and by who calls.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parley, Conn, bin, at } from './harness.mjs';
import { rtm } from './ws.mjs';

const library = join(bin, 'tests/preload/libparley-count.so');
const kinds = { 1: 'heap', 2: 'lock' };

class Counts {
  constructor(file, pid) { Object.assign(this, { file, pid }); }

  // {"thread kind caller in_program": count}
  read() {
    const b = readFileSync(this.file);
    const out = new Map();
    for (let o = 0; o < b.length; o += 32) {
      const thread = b.readUInt32LE(o);
      if (thread !== 0) out.set([thread, kinds[b.readUInt32LE(o + 4)], b.readBigUInt64LE(o + 8), b.readBigUInt64LE(o + 16)].join(' '), Number(b.readBigUInt64LE(o + 24)));
    }
    return out;
  }

  // What came since `before`, with names: {thread, kind, library, where, count}.
  since(before) {
    const maps = readFileSync(`/proc/${this.pid}/maps`, 'utf8').split('\n').map((l) => /^(\w+)-(\w+) \S+ \w+ \S+ \d+ +(\S+)/.exec(l)).filter(Boolean)
      .map((m) => ({ from: BigInt(`0x${m[1]}`), to: BigInt(`0x${m[2]}`), path: m[3] }));
    const object = (a) => maps.find((m) => a >= m.from && a < m.to)?.path ?? '?';
    const program = maps.find((m) => m.path.endsWith('/parleyd'));
    const rows = [];
    for (const [key, n] of this.read()) {
      const count = n - (before.get(key) ?? 0);
      const [thread, kind, caller, inProgram] = key.split(' ');
      if (count > 0) rows.push({ thread: this.name(thread), kind, library: caller === inProgram ? '' : object(BigInt(caller)), address: BigInt(inProgram), count });
    }
    // A return address is behind its call: one less is in it. -i: whatever was inlined there too.
    const addresses = [...new Set(rows.map((r) => r.address))].filter((a) => a !== 0n);
    const lines = spawnSync('addr2line', ['-a', '-i', '-f', '-C', '-e', program.path, ...addresses.map((a) => `0x${(a - program.from - 1n).toString(16)}`)], { encoding: 'utf8', maxBuffer: 1 << 28 }).stdout;
    const where = lines.split(/^0x[0-9a-f]+$/m).slice(1).map((t) => t.trim().split('\n'));
    for (const r of rows) r.where = r.address === 0n ? ['?', '?'] : where[addresses.indexOf(r.address)];
    return rows;
  }

  name(thread) {
    try { return readFileSync(`/proc/${this.pid}/task/${thread}/comm`, 'utf8').trim(); } catch { return `ended ${thread}`; }
  }
}

// RocksDB's is what no source of ours is named for; -i names ours also where a template of RocksDB was inlined.
const source = fileURLToPath(new URL('../../src/', import.meta.url));
const isOurs = (r) => r.where.some((line) => line.startsWith(source)) || !(/rocksdb/.test(r.where[0]) || /lib(ssl|crypto)\.so/.test(r.library));

// Actors that no message waits for: they work behind it, in rounds.
const besides = /^(search|login|media)/;

// What our own code may do, and how often in a round of `posts`: none of it for each message.
const allowed = [
  // Read-held around each call into RocksDB, so that a failed store can be opened again: one for the keys of a turn.
  { kind: 'lock', file: 'store/view_rocksdb.c', most: (posts) => posts / 2 },
  // They grow to their high water, then only recycle.
  { kind: 'heap', file: 'ring/frame.c', most: (posts) => posts / 20 },
  { kind: 'heap', file: 'fanout/pool.c', most: () => 64 },
  // The index of a tail doubles; each 32 MiB there is another tail.
  { kind: 'heap', file: 'store/tail.c', most: () => 64 },
  { kind: 'heap', file: 'store/stage.c', most: () => 8 },
  { kind: 'lock', file: 'store/stage.c', most: () => 16 },
  // The thread that makes files of a tail, and who wakes it: each 32 MiB.
  { kind: 'lock', file: 'store/ingest.c', most: () => 64 },
  // It looks four times a second.
  { kind: 'lock', file: 'server/watchdog.c', most: () => 1000 },
];

// What is not allowed, as lines to read.
function surplus(rows, posts) {
  const rest = new Map(allowed.map((a) => [a, a.most(posts)]));
  return rows.filter((r) => isOurs(r) && !besides.test(r.thread)).filter((r) => {
    const a = allowed.find((x) => x.kind === r.kind && r.where.some((line) => line.startsWith(source + x.file)));
    if (a === undefined) return true;
    rest.set(a, rest.get(a) - r.count);
    return rest.get(a) < 0;
  }).map((r) => `${r.count} ${r.kind} in ${r.thread}: ${r.where.join(' ')} ${r.library}`);
}

describe('steady state', at('strace'), () => {
  test('no heap and no lock per message', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'parley-count-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const file = join(dir, 'counts');
    const parley = await Parley.start({ wrap: ['env', `LD_PRELOAD=${library}`, `PARLEY_COUNT_FILE=${file}`], settings: { 'api.rate_posts_per_s': 1000000 } });
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    const listeners = await Promise.all(Array.from({ length: 6 }, (_, i) => rtm(parley, demo.users[i % 3].token)));
    listeners.forEach((w) => { w.keep = false; });
    const conns = await Promise.all(Array.from({ length: 8 }, () => Conn.open(parley.port)));
    let sent = 0;
    const post = async (n, text) => {
      const end = sent + n;
      await Promise.all(conns.flatMap((c, lane) => Array.from({ length: 8 }, async () => {
        while (sent < end) {
          const id = `message-${sent++}`;
          const a = await c.call('chat.postMessage', demo.users[lane % 3].token, { channel, text: `${text} ${id}`, client_msg_id: id });
          assert.ok(a.ok, a.error);
        }
      })));
      await Promise.all(listeners.map((w) => w.until(() => w.count > sent, 'all events')));
    };
    const counts = new Counts(file, parley.child.pid);
    await post(100, 'w'.repeat(1000)); // buffers of the JSON parser grow to the longest body
    await post(5000, 'warm');
    const posts = 20000;
    const rounds = [];
    do { // high waters are reached sooner or later; what is done for each message is done in every round
      const before = counts.read();
      await post(posts, 'steady');
      const rows = counts.since(before);
      assert.ok(rows.some((r) => r.kind === 'heap' && !isOurs(r)) && rows.some((r) => r.kind === 'lock'), 'RocksDB\'s own are seen, so counting works');
      rounds.push(surplus(rows, posts));
      t.diagnostic(`${posts} posts: ${rows.filter(isOurs).map((r) => `${r.count} ${r.kind} ${/[^/]*$/.exec(r.where[1])[0]}`).join(', ')}; RocksDB: ${rows.filter((r) => !isOurs(r)).reduce((n, r) => n + r.count, 0)}`);
    } while (rounds.at(-1).length > 0 && rounds.length < 3);
    assert.deepEqual(rounds.at(-1), []);
    listeners.forEach((w) => w.destroy());
    conns.forEach((c) => c.end());
    await parley.stop();
  });
});
