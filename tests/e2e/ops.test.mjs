// What an operator meets: options, start, metrics, signals, restart.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Parley, Conn, raw, history, eventually, freePort, bin, at, some, slow, sleep } from './harness.mjs';
import { rtm } from './ws.mjs';

const daemon = (...words) => spawnSync(join(bin, 'parleyd'), words, { encoding: 'utf8', timeout: 30000 * slow });
const scratch = (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'parley-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

describe('options', at('ops'), () => {
  test('--help, --version, --check, --print-config', () => {
    const help = daemon('--help');
    assert.equal(help.status, 0);
    for (const word of ['--config', '--data', '--listen', '--tls-listen', '--cert', '--key', '--admin-listen', '--set', '--check', 'HUP']) assert.ok(help.stdout.includes(word), word);
    assert.match(daemon('--version').stdout, /^parleyd \d/);
    const check = daemon('--check', '--set', 'http.head_timeout_ms=3s', '--set', 'store.cache_bytes=64m', '--listen', '127.0.0.1:7777');
    assert.equal(check.status, 0);
    for (const line of ['head_timeout_ms = 3000', 'cache_bytes = 67108864', 'listen = 127.0.0.1:7777']) assert.ok(check.stdout.includes(line), line);
    assert.match(daemon('--print-config').stdout, /; .*\n; .*1 to 1000000 connections|; /);
  });

  test('what was printed can be read again', (t) => {
    const file = join(scratch(t), 'parley.conf');
    writeFileSync(file, daemon('--print-config').stdout);
    const again = daemon('--config', file, '--check');
    assert.equal(again.status, 0, again.stderr);
    assert.equal(again.stdout, daemon('--check').stdout);
    writeFileSync(file, '[http]\nhead_max = 65536\n[api]\nclient_errors = http\n');
    const both = daemon('--set', 'http.head_max=4096', '--set', 'http.request_line_max=2048', '--config', file, '--check');
    assert.match(both.stdout, /head_max = 4096/, 'options win over the file, wherever they stand');
    assert.match(both.stdout, /client_errors = http/);
  });

  test('mistakes are named with their remedy', (t) => {
    const file = join(scratch(t), 'bad.conf');
    const rows = [
      [['--set', 'htpp.head_max=1'], /unknown setting "htpp\.head_max".*"http\.head_max"/], [['--set', 'ws.ping=1'], /nearest is "ws\.ping_ms"/], [['--set', 'http.head_max=12'], /1024 to 262144/],
      [['--set', 'http.head_max=x'], /not a number/], [['--set', 'http.head_max=-1'], /not a number/], [['--set', 'http.head_max=99999999999999999999'], /not a number/], [['--set', 'http.head_max'], /SECTION\.KEY=VALUE/],
      [['--set', 'log.level=loud'], /debug,info,warn,error/], [['--set', 'threads.acceptor_with_chan=maybe'], /neither true nor false/], [['--set', 'ring.request_cells=3'], /powers? of two/],
      [['--set', 'ws.queue_soft_bytes=262144'], /less than/], [['--cert', 'x'], /go together/], [['--tls-listen', '127.0.0.1:1'], /needs server\.cert/], [['--listen', ''], /one of/],
      [['--nonsense'], /nonsense.*\n?.*--help/s], [['word'], /unexpected argument "word"/], [['--config', '/nonexistent'], /\/nonexistent: cannot be read/], [['--config', file], /bad\.conf:2: unknown setting/],
    ];
    writeFileSync(file, '[http]\nhaed_max = 1\n');
    for (const [words, message] of rows) {
      const r = daemon(...words, '--check');
      assert.equal(r.status, 2, `${words.join(' ')}: ${r.status}`);
      assert.match(r.stderr, message, words.join(' '));
      assert.equal(r.stdout, '');
    }
  });

  test('places it cannot use end the start with 1 and a reason', (t) => {
    const dir = scratch(t);
    const file = join(dir, 'file');
    writeFileSync(file, '');
    for (const [words, message] of [[['--data', file], /file|directory/i], [['--data', join(dir, 'no/such/parent')], /directory/i], [['--data', join(dir, 'd'), '--listen', '127.0.0.1:99999'], /99999/],
      [['--data', join(dir, 'd'), '--listen', '203.0.113.1:80'], /203\.0\.113\.1:80/], [['--data', join(dir, 'd'), '--listen', 'nonsense'], /nonsense/]]) {
      const r = daemon('--listen', '127.0.0.1:0', ...words);
      assert.equal(r.status, 1, `${words.join(' ')}: ${r.status} ${r.stderr}`);
      assert.match(r.stderr, message);
    }
  });
});

describe('one data directory, one daemon', at('ops'), () => {
  test('a second process is refused and harms nothing; a stale control socket is replaced', async () => {
    const parley = await Parley.start();
    const demo = parley.demo();
    const second = daemon('--data', parley.data, '--listen', '127.0.0.1:0');
    assert.equal(second.status, 1, second.stderr);
    assert.match(second.stderr, /another|lock|in use|already/i);
    assert.equal(parley.ctlJson('status').ready, true, 'the control socket is still the first one\'s');
    const pid = () => Number(readFileSync(join(parley.data, 'parleyd.pid'), 'utf8'));
    assert.equal(pid(), parley.child.pid, 'and so is the process file');
    assert.ok((await parley.call('chat.postMessage', demo.users[0].token, { channel: demo.channels.random.id, text: 'x' })).ok);
    await parley.kill();
    assert.ok(existsSync(join(parley.data, 'control.sock')), 'kill -9 leaves the socket file');
    await parley.up();
    assert.equal(parley.ctlJson('status').ready, true);
    assert.equal(statSync(join(parley.data, 'control.sock')).mode & 0o777, 0o600);
    assert.equal(pid(), parley.child.pid, 'after kill -9 the file names the new process');
    assert.equal((await parley.term()).code, 0);
    assert.ok(!existsSync(join(parley.data, 'parleyd.pid')), 'an end in order removes it');
    await parley.up();
    await parley.stop();
  });

  test('a taken port is named', async () => {
    const parley = await Parley.start();
    const dir = mkdtempSync(join(tmpdir(), 'parley-'));
    const r = daemon('--data', dir, '--listen', `127.0.0.1:${parley.port}`);
    rmSync(dir, { recursive: true });
    assert.equal(r.status, 1);
    assert.match(r.stderr, new RegExp(`"listen_failed".*127\\.0\\.0\\.1:${parley.port}.*in use`));
    await parley.stop();
  });

  // The kernel lets go of a ring's sockets a moment after its process is gone: who starts again at once meets them.
  test('a port that becomes free during the start is taken', async () => {
    const parley = new Parley();
    const former = net.createServer().listen(parley.port = await freePort(), '127.0.0.1');
    await once(former, 'listening');
    const up = parley.up();
    up.catch(() => {}); // told below
    await eventually(() => parley.exit || /"listen_waits"/.test(parley.log), 'it meets the former one');
    former.close();
    await up;
    assert.equal((await parley.call('api.test')).ok, true);
    await parley.stop();
  });
});

describe('watching', at('ops'), () => {
  let parley, demo;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
  });
  after(() => parley.stop());

  test('readiness: a line, /health, systemd', async (t) => {
    const line = parley.log.split('\n').map((l) => l && JSON.parse(l)).find((l) => l.event === 'ready');
    assert.equal(line.http_port, parley.port);
    assert.equal(line.admin_port, parley.adminPort);
    for (const path of ['/health/ready', '/health/live']) assert.deepEqual([(await fetch(`http://127.0.0.1:${parley.adminPort}${path}`)).status], [200]);
    const dir = scratch(t);
    const path = join(dir, 'notify');
    const listener = spawn('perl', ['-MSocket', '-e', 'socket(my $s, PF_UNIX, SOCK_DGRAM, 0); bind($s, sockaddr_un($ARGV[0])) or die; $| = 1; print "bound\n"; while (defined recv($s, my $m, 4096, 0)) { print "$m\n" }', path]);
    t.after(() => listener.kill());
    let said = '';
    listener.stdout.on('data', (d) => { said += d; });
    await eventually(() => said.includes('bound'), 'the manager listens');
    const managed = await Parley.start({ env: { NOTIFY_SOCKET: path } });
    await eventually(() => said.includes('READY=1'), 'READY=1');
    await managed.stop();
    await eventually(() => said.includes('STOPPING=1'), 'STOPPING=1');
  });

  test('/metrics: well formed, and its sums are right', async () => {
    const before = await parley.metrics();
    const channel = demo.channels.random.id;
    const w = await rtm(parley, demo.users[1].token);
    for (let i = 0; i < 10; i++) await parley.call('chat.postMessage', demo.users[0].token, { channel, text: `m${i}`, client_msg_id: `k${i % 5}` });
    await parley.call('chat.postMessage', demo.users[0].token, { channel: 'C1', text: 'x' });
    await w.flushed();
    await raw(parley.port, 'BAD\r\n\r\n');
    const delta = (n) => (name) => (now[name] - before[name] === n ? true : `${name}: ${now[name] - before[name]}, wanted ${n}`);
    let now;
    await eventually(async () => {
      now = await parley.metrics();
      return now.parley_http_errors_total > before.parley_http_errors_total && now.parley_events_sent_total - before.parley_events_sent_total >= 5;
    }, 'counters');
    for (const [name, n] of [['parley_posts_total', 5], ['parley_posts_duplicate_total', 5], ['parley_api_failed_total', 1], ['parley_http_errors_total', 1], ['parley_tickets_issued_total', 1], ['parley_ws_open', 1], ['parley_events_sent_total', 5]])
      assert.equal(delta(n)(name), true);
    assert.equal(now.parley_api_ok_total - before.parley_api_ok_total, 11);
    const text = await (await fetch(`http://127.0.0.1:${parley.adminPort}/metrics`)).text();
    const types = new Map();
    for (const line of text.trim().split('\n')) {
      const type = /^# TYPE (\S+) (counter|gauge|summary)$/.exec(line);
      if (type) types.set(type[1], type[2]);
      else if (!/^# HELP \S+ \S/.test(line)) {
        const m = /^([a-z_0-9]+)(\{([a-z]+="[^"]*",?)+\})? (\d+(\.\d+)?)$/.exec(line);
        assert.ok(m, line);
        const name = m[1].replace(/_(sum|count)$/, '');
        assert.ok(types.has(m[1]) || types.get(name) === 'summary', line);
        assert.ok(types.get(m[1]) !== 'counter' || m[1].endsWith('_total'), line);
      }
    }
    assert.ok(now.parley_store_memtable_bytes > 0 && now.parley_store_wal_bytes > 0 && now.parley_store_file_bytes >= 0);
    assert.ok(now.parley_store_level0_files >= now.parley_store_level0_files_most && now.parley_store_pending_compaction_bytes >= 0);
    assert.ok(now.parley_request_us_count > 0 && now.parley_commit_us_count === now.parley_log_batches_total);
    await w.bye();
  });

  test('the admin listener shows and does nothing', async () => {
    const ask = (path, o) => fetch(`http://127.0.0.1:${parley.adminPort}${path}`, o);
    assert.equal((await ask('/')).status, 404);
    assert.equal((await ask('/metrics', { method: 'POST' })).status, 405);
    assert.equal((await ask('/v1/user.list', { method: 'POST', body: '{}' })).status, 404);
    assert.equal((await ask('/v1/token.issue', { method: 'POST', body: '{"user":"ada"}' })).status, 404);
    assert.equal((await fetch(`${parley.url}/metrics`)).status, 404, 'not on the public listener');
    assert.equal((await fetch(`${parley.url}/v1/status`, { method: 'POST' })).status, 404);
    const broken = await raw(parley.adminPort, 'BAD\r\n\r\n');
    assert.match(broken.text, /^HTTP\/1\.1 400 /);
    const { text } = await raw(parley.adminPort, 'HEAD /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    assert.match(text, /\r\n\r\n$/);
  });
});

const stages = ['parsed', 'queued', 'stepped', 'batched', 'durable', 'answered', 'sent'];

describe('where the time goes', at('ops'), () => {
  let parley, demo;
  before(async () => {
    parley = await Parley.start({ settings: { 'threads.acceptors': 2 } });
    demo = parley.demo();
  });
  after(() => parley.stop());

  const slowest = () => parley.ctlJson('slow');
  const took = (r) => stages.map((s) => r[`${s}_us`] ?? 0).reduce((a, b) => a + b);

  test('parleyctl slow: every request of all acceptors with its stages, slowest first', async () => {
    const { token } = demo.users[0], channel = demo.channels.random.id;
    assert.deepEqual(slowest(), { ok: true, window_s: 600, requests: [] });
    assert.match(parley.ctl('slow'), /^at +method +request_id .*total_us .*durable_us .*sent_us *\n$/);
    const ids = new Map();
    const call = async (method, args) => {
      const r = await parley.call(method, token, args);
      ids.set(r.headers.get('x-request-id'), method);
      return r;
    };
    await Promise.all(Array.from({ length: 8 }, (_, i) => call('chat.postMessage', { channel, text: `m${i}` })));
    await call('conversations.history', { channel });
    await call('auth.test');
    await call('chat.postMessage', { channel, text: '' });
    let requests;
    await eventually(() => { ({ requests } = slowest()); return requests.length === ids.size; }, 'all are over');
    const server = requests.map((r) => r.server_us);
    assert.deepEqual(server, [...server].sort((a, b) => b - a));
    for (const r of requests) {
      assert.equal(r.method, ids.get(r.request_id));
      assert.equal(r.team, demo.team.id);
      assert.equal(r.user, demo.users[0].id);
      assert.equal(r.status, 200);
      assert.ok(Math.abs(Date.now() - Date.parse(r.at)) < 60000, r.at);
      assert.equal(r.total_us, took(r));
      assert.equal(r.server_us, r.total_us - r.parsed_us - r.sent_us);
      assert.ok(['parsed_us', 'answered_us', 'sent_us'].every((s) => s in r));
    }
    const posts = requests.filter((r) => r.method === 'chat.postMessage' && !r.error);
    assert.equal(posts.length, 8);
    for (const r of posts) assert.ok(r.channel === channel && stages.every((s) => `${s}_us` in r) && r.durable_us > 0, JSON.stringify(r));
    const of = (method) => requests.find((r) => r.method === method);
    assert.ok('queued_us' in of('conversations.history') && !('durable_us' in of('conversations.history')));
    assert.ok(!('queued_us' in of('auth.test')) && !('channel' in of('auth.test')));
    assert.equal(requests.find((r) => r.error).error, 'no_text');
    const table = parley.ctl('slow').split('\n');
    assert.equal(table.length, ids.size + 2);
    assert.ok(table[1].includes(requests[0].request_id), table[1]);
    assert.ok(table.find((l) => l.includes('auth.test')).includes(' - '), 'what was not passed');
  });

  test('/metrics: one summary per stage, of the posts that were stored', async () => {
    const { token } = demo.users[1], channel = demo.channels.random.id;
    const before = await parley.metrics();
    for (let i = 0; i < 5; i++) await parley.call('chat.postMessage', token, { channel, text: `m${i}` });
    await parley.call('chat.postMessage', token, { channel: 'C1', text: 'x' });
    await parley.call('auth.test', token);
    let now;
    await eventually(async () => {
      now = await parley.metrics();
      return stages.every((s) => now[`parley_post_${s}_us_count`] - before[`parley_post_${s}_us_count`] >= 5);
    }, 'counted');
    for (const s of stages) assert.equal(now[`parley_post_${s}_us_count`] - before[`parley_post_${s}_us_count`], 5, s);
    const [durable, commit] = ['parley_post_durable_us_sum', 'parley_commit_us_sum'].map((n) => now[n] - before[n]);
    assert.ok(durable > 0 && durable >= commit / 2, `${durable} us of waiting for commits that took ${commit}`);
  });

  test('the probes are there, and tools/stages knows them', async (t) => {
    const notes = spawnSync('readelf', ['-n', join(bin, 'parleyd')], { encoding: 'utf8', maxBuffer: 1 << 26 }).stdout;
    const probes = new Set([...notes.matchAll(/Provider: parley\s+Name: (\w+)/g)].map((m) => m[1]));
    assert.deepEqual([...probes].sort(), ['accepted', ...stages].sort());
    const tool = (...words) => spawnSync('tools/stages', words, { cwd: new URL('../..', import.meta.url), encoding: 'utf8', timeout: 60000 * slow });
    assert.match(tool('--help').stdout, /Needs root, bpftrace/);
    assert.equal(tool('--nonsense').status, 2);
    for (const s of stages) assert.ok(tool('--print').stdout.includes(`@${s}_us = hist(`), s);
    if (process.getuid() !== 0 || spawnSync('bpftrace', ['-e', 'BEGIN { exit(); }']).status !== 0) {
      t.diagnostic('bpftrace is missing or may not run here: the program was not attached');
      return;
    }
    const channel = demo.channels.random.id;
    const trace = spawn('tools/stages', ['--interval', '1', '--seconds', '3', String(parley.child.pid)], { cwd: new URL('../..', import.meta.url) });
    t.after(() => trace.kill());
    let out = '';
    trace.stdout.setEncoding('utf8').on('data', (d) => { out += d; });
    const ended = new Promise((resolve) => { trace.once('exit', resolve); });
    for (let over = false; !over; await sleep(20)) {
      await parley.call('chat.postMessage', demo.users[2].token, { channel, text: 'traced' });
      over = await Promise.race([ended.then(() => true), sleep(1).then(() => false)]);
    }
    assert.equal(await ended, 0, out);
    assert.ok([...out.matchAll(/^@posts: (\d+)/gm)].some((m) => Number(m[1]) > 0), out);
    for (const s of stages) assert.match(out, new RegExp(`^@${s}_us: \\n[[(]`, 'm'));
  });
});

describe('SIGTERM', at('ops'), () => {
  test('under load: goodbye and 1001 on sockets, what was answered is stored, exit 0 in time', async () => {
    const parley = await Parley.start({ settings: { 'server.drain_ms': 5000 * slow } });
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    const sockets = await Promise.all(Array.from({ length: some(20) }, (_, i) => rtm(parley, demo.users[i % 3].token)));
    const acked = [];
    let stop = false;
    const lanes = demo.users.map(async (u, lane) => {
      const c = await Conn.open(parley.port);
      for (let i = 0; !stop; i++) {
        const r = await c.call('chat.postMessage', u.token, { channel, text: `load ${lane} ${i}` }).catch(() => undefined);
        if (r === undefined) break;
        if (r.ok) acked.push(r.ts); else assert.equal(r.status, 503, r.error);
      }
    });
    await sockets[0].until(() => sockets[0].events.filter((e) => e.type === 'message').length > 50, 'load');
    const idle = await Conn.open(parley.port);
    const from = Date.now();
    const exit = await parley.term();
    const took = Date.now() - from;
    stop = true;
    await Promise.all(lanes);
    assert.deepEqual(exit, { code: 0, signal: null }, parley.log.slice(-1000));
    assert.ok(took < 5000 * slow, `${took} ms`);
    for (const w of sockets) {
      await w.closed;
      assert.equal(w.events.at(-1).type, 'goodbye');
      assert.ok([1001, 1012].includes(w.closeCode), `closed with ${w.closeCode}`);
    }
    assert.ok(idle.ended);
    await parley.up();
    const rows = new Set((await history(parley, demo.users[0].token, channel)).map((m) => m.ts));
    assert.ok(acked.length > 50);
    for (const ts of acked) assert.ok(rows.has(ts), ts);
    await parley.stop();
  });

  test('with nobody there it ends at once; readiness goes first', async () => {
    const parley = await Parley.start();
    const from = Date.now();
    await parley.stop();
    assert.ok(Date.now() - from < 1500 * slow);
    assert.match(parley.log, /"event":"stopping".*"event":"stopped","whole":true/s);
    const busy = await Parley.start({ settings: { 'server.drain_ms': 3000 } });
    const demo = busy.demo();
    const held = await Promise.all(Array.from({ length: 5 }, () => rtm(busy, demo.users[0].token)));
    busy.child.kill('SIGTERM');
    let ready = 200;
    await eventually(async () => {
      ready = await fetch(`http://127.0.0.1:${busy.adminPort}/health/ready`).then((r) => r.status, () => 0);
      return ready !== 200;
    }, 'not ready');
    await busy.exited;
    held.forEach((w) => w.destroy());
    await busy.stop();
  });
});

// Through a terminal of its own, as a newcomer runs it.
describe('tools/run', { skip: at('restart').skip || (!/build\/release\/?$/.test(bin) && 'it runs build/release') }, () => {
  // A fresh clone has no build/ yet, and whoever starts it in the background no terminal.
  test('the first build needs neither a terminal nor a folder that is there', (t) => {
    const dir = scratch(t);
    mkdirSync(join(dir, 'tools'));
    mkdirSync(join(dir, 'bin'));
    cpSync(new URL('../../tools/lib.sh', import.meta.url), join(dir, 'tools/lib.sh'));
    writeFileSync(join(dir, 'bin/cmake'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    const r = spawnSync('bash', ['-c', '. tools/lib.sh && build_shown release parleyd'], { cwd: dir, encoding: 'utf8', env: { ...process.env, PATH: `${dir}/bin:${process.env.PATH}` } });
    assert.deepEqual([r.status, r.stderr], [0, '']);
  });

  test('it prints what can be pasted; Ctrl-C drains; started again, the message is there', async (t) => {
    const dir = scratch(t);
    const start = async () => {
      const child = spawn('script', ['-qefc', `exec tools/run --data ${dir}/data --listen 127.0.0.1:0`, '/dev/null'], { cwd: new URL('../..', import.meta.url) });
      t.after(() => child.kill());
      let out = '';
      child.stdout.setEncoding('utf8').on('data', (d) => { out += d; });
      const exited = new Promise((resolve) => { child.once('exit', resolve); });
      await eventually(() => out.includes('Ctrl-C drains'), 'up', 300000);
      return { child, exited, all: () => out, run: (command) => spawnSync('bash', ['-c', command], { encoding: 'utf8' }).stdout };
    };
    const first = await start();
    const [post, read] = first.all().replaceAll('\r', '').split('\n').filter((l) => l.startsWith('  curl '));
    assert.match(first.run(post), /^\{"ok":true,.*Hello, Parley.*\}\n$/);
    assert.match(first.run(read), /"text":"Hello, Parley"/);
    first.child.stdin.write('\x03');
    assert.equal(await first.exited, 0, first.all());
    assert.match(first.all(), /"event":"stopping".*"event":"stopped","whole":true/s);
    const second = await start();
    const [setup] = /export .*/.exec(second.all().replaceAll('\r', ''));
    assert.match(second.run(`${setup}; curl -s $URL/api/conversations.history -H "Authorization: Bearer $TOKEN" -d channel=$CHANNEL`), /"text":"Hello, Parley"/);
    second.child.stdin.write('\x03');
    assert.equal(await second.exited, 0, second.all());
  });
});

describe('restart', at('restart'), () => {
  test('ready within 3 s after kill -9 with 20,000 messages, all there', async () => {
    const parley = await Parley.start({ settings: { 'api.rate_posts_per_s': 1000000 } });
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    const n = 20000;
    let next = 0;
    await Promise.all(Array.from({ length: 8 }, async (_, lane) => {
      const c = await Conn.open(parley.port);
      await Promise.all(Array.from({ length: 16 }, async () => {
        while (next++ < n) assert.ok((await c.call('chat.postMessage', demo.users[lane % 3].token, { channel, text: `message ${next} ${'w'.repeat(100)}` })).ok);
      }));
      c.end();
    }));
    await parley.kill();
    const from = performance.now();
    await parley.up();
    const took = performance.now() - from;
    assert.ok(took < 3000, `${Math.round(took)} ms`);
    assert.equal((await history(parley, demo.users[0].token, channel, { limit: 999 })).length, n);
    await parley.stop();
  });
});
