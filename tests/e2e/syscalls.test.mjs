// What strace sees: one sync of the log per commit, none skipped; no system call per message or delivered event.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Parley, Conn, history, eventually, at } from './harness.mjs';
import { rtm } from './ws.mjs';

// -D: strace is the grandchild, so that signals go to the daemon itself.
async function traced(t, calls) {
  const dir = mkdtempSync(join(tmpdir(), 'parley-strace-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'trace');
  const parley = await Parley.start({ wrap: ['strace', '-D', '-f', '-qq', '-y', '-e', `trace=${calls}`, '-e', 'signal=none', '-o', file], settings: { 'api.rate_posts_per_s': 1000000, 'search.delay_ms': 60000 } }); // no commit of the index meanwhile
  return { parley, lines: () => readFileSync(file, 'utf8').split('\n') };
}

describe('system calls', at('strace'), () => {
  test('one fdatasync of the log per commit', async (t) => {
    const { parley, lines } = await traced(t, 'fdatasync,fsync,sync_file_range,msync');
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    const syncs = () => lines().filter((l) => /\b(fdatasync|fsync)\(\d+<[^>]*\.log>/.test(l)).length;
    const settled = async () => { // the last commit's line is in the file
      let last = -1;
      await eventually(() => { const now = lines().length; const same = now === last; last = now; return same; }, 'strace is quiet');
    };
    await settled();
    const before = { syncs: syncs(), batches: (await parley.metrics()).parley_log_batches_total };
    let acked = 0;
    await Promise.all(demo.users.map(async (u) => {
      const c = await Conn.open(parley.port);
      await Promise.all(Array.from({ length: 4 }, async (_, k) => {
        for (let i = 0; i < 50; i++) {
          assert.ok((await c.call('chat.postMessage', u.token, { channel, text: `${k} ${i}` })).ok);
          acked++;
        }
      }));
      c.end();
    }));
    const batches = (await parley.metrics()).parley_log_batches_total - before.batches;
    await eventually(() => syncs() - before.syncs >= batches, 'every commit is synced', 3000);
    await settled();
    assert.equal(syncs() - before.syncs, batches);
    assert.ok(batches > 0 && batches <= acked, `${batches} commits for ${acked} posts`);
    assert.equal((await history(parley, demo.users[0].token, channel)).length, acked);
    const alone = { syncs: syncs(), batches: (await parley.metrics()).parley_log_batches_total };
    for (let i = 0; i < 10; i++) await parley.call('chat.postMessage', demo.users[0].token, { channel, text: 'alone' });
    await settled();
    assert.equal((await parley.metrics()).parley_log_batches_total - alone.batches, 10, 'a lone sender: one commit each');
    assert.equal(syncs() - alone.syncs, 10);
    await parley.stop();
  });

  test('50 listeners, 200 events: no send of its own, far fewer enters than deliveries', async (t) => {
    const { parley, lines } = await traced(t, 'sendmsg,sendto,send,write,writev,recvfrom,recvmsg,epoll_wait,poll,io_uring_enter');
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    const listeners = await Promise.all(Array.from({ length: 50 }, (_, i) => rtm(parley, demo.users[i % 3].token)));
    listeners.forEach((w) => { w.keep = false; });
    const count = (re) => lines().filter((l) => re.test(l)).length;
    const sends = /\b(sendmsg|sendto|send|writev|recvfrom|recvmsg)\(|\bwrite\(\d+<(socket|TCP)/;
    const before = { sends: count(sends), enters: count(/io_uring_enter\(/) };
    const events = 200;
    const conns = await Promise.all(demo.users.map(() => Conn.open(parley.port)));
    let next = 0;
    await Promise.all(conns.flatMap((c, lane) => Array.from({ length: 8 }, async () => {
      while (next++ < events) assert.ok((await c.call('chat.postMessage', demo.users[lane].token, { channel, text: 'event' })).ok);
    })));
    await Promise.all(listeners.map((w) => w.until(() => w.count >= events + 1, 'all events')));
    const deliveries = events * listeners.length;
    const enters = count(/io_uring_enter\(/) - before.enters;
    assert.equal(count(sends) - before.sends, 0, 'sends outside the ring');
    assert.ok(enters < deliveries / 4, `${enters} io_uring_enter for ${deliveries} deliveries`);
    t.diagnostic(`${enters} io_uring_enter for ${deliveries} deliveries and ${events} posts`);
    listeners.forEach((w) => w.destroy());
    conns.forEach((c) => c.end());
    await parley.stop();
  });

  test('no system call of its own for a message: all of them are of turns and commits', async (t) => {
    const { parley, lines } = await traced(t, 'all');
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    const listeners = await Promise.all(Array.from({ length: 6 }, (_, i) => rtm(parley, demo.users[i % 3].token)));
    listeners.forEach((w) => { w.keep = false; });
    const conns = await Promise.all(demo.users.map(() => Conn.open(parley.port)));
    let sent = 0;
    const post = async (n) => {
      const end = sent + n;
      await Promise.all(conns.flatMap((c, lane) => Array.from({ length: 32 }, async () => {
        while (sent < end) assert.ok((await c.call('chat.postMessage', demo.users[lane].token, { channel, text: 'event', client_msg_id: `id-${sent++}` })).ok);
      })));
      await Promise.all(listeners.map((w) => w.until(() => w.count > sent, 'all events')));
    };
    await post(500);
    const from = lines().length;
    const commits = (await parley.metrics()).parley_log_batches_total;
    const posts = 3000;
    await post(posts);
    const done = (await parley.metrics()).parley_log_batches_total - commits;
    const calls = new Map();
    for (const l of lines().slice(from)) {
      const name = /^\d+ +(\w+)\(/.exec(l)?.[1];
      if (name) calls.set(name, (calls.get(name) ?? 0) + 1);
    }
    const count = (...names) => names.reduce((n, name) => n + (calls.get(name) ?? 0), 0);
    const rest = new Map(calls);
    for (const name of ['io_uring_enter', 'write', 'fdatasync']) rest.delete(name);
    const said = `${posts} posts, ${done} commits: ${[...calls].map(([name, n]) => `${n} ${name}`).join(', ')}`;
    t.diagnostic(said);
    assert.ok(count('io_uring_enter') < posts, said); // one or two for each turn of a loop
    assert.ok(count('write') <= done * 1.1 + 10, said); // one record for each commit, and its sync
    assert.ok(count('fdatasync') <= done + 10, said);
    assert.ok([...rest.values()].reduce((a, b) => a + b, 0) < posts / 20, said); // randomness and pages, many at a time
    listeners.forEach((w) => w.destroy());
    conns.forEach((c) => c.end());
    await parley.stop();
  });

  test('search and login yield the cores, and say so when they may not', async () => {
    const nice = (parley) => readdirSync(`/proc/${parley.child.pid}/task`).map((id) => {
      const [, name, rest] = /\((.*)\) (.*)/.exec(readFileSync(`/proc/${parley.child.pid}/task/${id}/stat`, 'utf8'));
      return [name, Number(rest.split(' ')[16])]; // proc(5): the 19th
    });
    const yielding = (parley) => nice(parley).filter(([, n]) => n === 5).map(([name]) => name).sort();
    const refusals = (parley) => parley.log.split('\n').filter((l) => l.includes('"event":"nice_refused"')).map((l) => JSON.parse(l));
    const usual = await Parley.start();
    assert.deepEqual(yielding(usual), ['login0', 'search0']);
    assert.deepEqual(refusals(usual), []);
    await usual.stop();
    const refused = await Parley.start({ wrap: ['strace', '-D', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=setpriority', '-e', 'inject=setpriority:error=EPERM'] });
    assert.deepEqual(yielding(refused), []);
    await eventually(() => refusals(refused).length > 0, 'it is said');
    refused.demo();
    assert.deepEqual(refusals(refused).map((l) => [l.level, l.nice]), [['warn', 5]]); // once, of two threads
    await refused.stop();
  });
});
