// The measuring programs measure: every command ends by itself with the fields that reports and docs read, and a load
// whose audit fails shows no figure.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { basename, join } from 'node:path';
import { createRequire } from 'node:module';
import { Parley, at, bin, slow } from './harness.mjs';

const { syntheticTrace } = createRequire(import.meta.url)('../../bench/trace.cjs');
const top = fileURLToPath(new URL('../..', import.meta.url));
const limit = at('bench');
const ms = 60000 * slow;
const unlimited = { 'api.rate_posts_per_s': 10000000, 'api.rate_factor': 1000000 };
let dir, parley, all, own;

// {code, out, err} of a command that must end within ms
function run(words, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(words[0], words.slice(1).map(String), { timeout: ms, killSignal: 'SIGKILL', ...options });
    let out = '', err = '';
    child.stdout.setEncoding('utf8').on('data', (s) => { out += s; });
    child.stderr.setEncoding('utf8').on('data', (s) => { err += s; });
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

async function json(words, options) {
  const r = await run(words, options);
  assert.equal(r.code, 0, `${words.join(' ')}: ${r.code}\n${r.out}\n${r.err.slice(-2000)}`);
  return JSON.parse(r.out);
}

const bench = (words, demo) => json([join(bin, 'bench/parley-bench'), ...words, '--demo', demo, '--pid', parley.child.pid, '--json']);

function positive(r, names) {
  for (const n of names) {
    const v = n.split('.').reduce((o, k) => o?.[k], r);
    assert.ok(typeof v === 'number' && v > 0, `${n} is ${v} in ${JSON.stringify(r)}`);
  }
}

before(async () => {
  if (limit.skip) return;
  dir = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  parley = await Parley.start({ settings: unlimited });
  all = join(dir, 'all.json');
  own = join(dir, 'own.json');
  parley.ctl('demo', '--users', '40', '--channels', '4', '--member-of-all', '--json', all);
  parley.ctl('demo', '--users', '40', '--channels', '8', '--json', own);
});

after(async () => {
  await parley?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

const floors = {
  floor_http: ['server_cpu_us_per_request', 'requests_per_s', 'request_us.p99', 'conns'],
  floor_send: ['cpu_us_per_send_1', 'cpu_us_per_event_4', 'cpu_us_per_event_16', 'round_us_16.p50', 'sockets'],
  floor_sync: ['append_syncs_per_s', 'append_sync_us.p50', 'append_cpu_us_per_sync', 'overwrite_sync_us.p50'],
  floor_log: ['cpu_us_per_record_1', 'cpu_us_per_record_8', 'cpu_us_per_record_64', 'cpu_us_per_record_512', 'cpu_us_per_record_4096', 'process_cpu_us_per_record_512', 'commit_us_1.p50'],
};
for (const [name, fields] of Object.entries(floors)) {
  test(`${name}: its figures, and nothing left on the disk`, { timeout: ms, ...limit }, async () => {
    const at = mkdtempSync(join(dir, 'floor-'));
    const r = await json([join(bin, 'bench', name), '--json', '--seconds', 1, '--dir', at]);
    assert.equal(r.floor, name);
    assert.equal(r.problems, 0);
    positive(r, fields);
    assert.deepEqual(readdirSync(at), []);
    assert.equal((await run([join(bin, 'bench', name), '--seconds', '0'])).code, 2);
    assert.equal((await run([join(bin, 'bench', name), 'word'])).code, 2);
    assert.equal((await run([join(bin, 'bench', name), '--help'])).code, 0);
  });
}

// words; the figures; on the population in which users are members of their own channels only?
const trace = () => {
  const file = join(dir, 'trace.jsonl');
  syntheticTrace(file, 400);
  return file;
};
const loads = {
  'send, closed loop': [() => ['send', '--conns', 8], ['posts_acknowledged', 'post_us.p99', 'posts_per_s', 'server_cpu_us_per_post', 'server_cpu_us_per_post_by_thread.acceptor', 'server_cpu_us_per_post_by_thread.log', 'history_messages']],
  'send, open loop': [() => ['send', '--rate', 500, '--channels', 4], ['posts_acknowledged', 'post_us.p50', 'server_cpu_us_per_post']],
  'fanout, paced': [() => ['fanout', '--subscribers', 30, '--rate', 200], ['deliveries', 'delivery_us.p99', 'server_cpu_us_per_delivery', 'server_cpu_us_per_delivery_by_thread.fanout']],
  'fanout, saturated': [() => ['fanout', '--subscribers', 30, '--rate', 0, '--conns', 4], ['deliveries', 'delivery_us.p99', 'server_cpu_us_per_delivery']],
  idle: [() => ['idle', '--sockets', 50], ['sockets', 'rss_held_bytes', 'connect_s']],
  history: [() => ['history', '--conns', 4, '--channels', 4, '--fill', 300], ['newest_pages', 'newest_page_us.p99', 'server_cpu_us_per_newest_page', 'server_cpu_us_per_newest_page_by_thread.acceptor', 'deep_pages', 'deep_page_us.p99', 'server_cpu_us_per_deep_page', 'server_cpu_us_per_deep_page_by_thread.hist']],
  storm: [() => ['storm', '--sockets', 60, '--rate', 50], ['sockets', 'calm_post_us.p99', 'all_back_s', 'all_caught_up_s', 'caught_up_after_us.p99', 'server_cpu_us_per_return', 'socket_losses', 'deliveries']],
  mixed: [() => ['mixed', trace(), '--sockets', 40, '--channels', 8, '--rate', 200], ['calls', 'posts_acknowledged', 'pages', 'typed', 'post_us.p99', 'newest_page_us.p99', 'server_cpu_us_per_call', 'deliveries'], true],
};
for (const [name, [words, fields, ownChannels]] of Object.entries(loads)) {
  test(`parley-bench ${name}`, { timeout: ms, ...limit }, async () => {
    const r = await bench([...words(), '--seconds', 1], ownChannels ? own : all);
    assert.equal(r.problems, 0);
    positive(r, fields);
  });
}

// Everything is accepted and nothing kept.
function forgetful() {
  let ts = 1600000000;
  return http.createServer((q, a) => {
    let body = '';
    q.on('data', (s) => { body += s; }).on('end', () => {
      const { channel } = JSON.parse(body || '{}');
      const answer = q.url.endsWith('chat.postMessage') ? { ok: true, channel, ts: `${ts++}.000000` } : { ok: true, messages: [], has_more: false };
      const text = JSON.stringify(answer);
      a.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': text.length });
      a.end(text);
    });
  });
}

test('a server that forgets is not measured', { timeout: ms, ...limit }, async () => {
  const server = forgetful().listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const demo = join(dir, 'forgetful.json');
    writeFileSync(demo, JSON.stringify({ base_url: `http://127.0.0.1:${server.address().port}`, team: { domain: 'x' }, tokens: ['xoxp-1'], channel_ids: ['C0000000001'] }));
    const words = [join(bin, 'bench/parley-bench'), 'send', '--conns', '2', '--seconds', '1', '--demo', demo, '--pid', String(process.pid)];
    const r = await run([...words, '--json']);
    assert.equal(r.code, 1);
    const report = JSON.parse(r.out);
    assert.ok(report.problems > 0 && report.history_missing > 0 && report.posts_acknowledged > 0);
    for (const k of Object.keys(report)) assert.doesNotMatch(k, /_us$|_per_|_s$|_bytes$/, `a figure in spite of problems: ${k}`);
    assert.doesNotMatch((await run(words)).out, /p99|per_post|posts_per_s/);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

// Copies of the store from before and behind a load stand in for a server that lost it and one that kept it.
test('books: what was acknowledged is looked for after a new start', { timeout: ms * 2, ...limit }, async () => {
  const one = await Parley.start({ settings: unlimited });
  const books = join(dir, 'books'), demo = one.population(8, 4), before = join(dir, 'before');
  const load = (words) => json([join(bin, 'bench/parley-bench'), ...words, '--demo', demo, '--seconds', 1, '--json', '--books', books]);
  mkdirSync(books);
  const first = await load(['send', '--conns', 4, '--channels', 4]);
  await one.kill();
  cpSync(join(one.data, 'store'), before, { recursive: true });
  await one.up();
  const second = await load(['storm', '--sockets', 20, '--rate', 50]);
  assert.equal(readdirSync(books).length, 3, 'the storm has two: its own and that of who posts beside it');
  await one.kill();
  await one.up();
  const audit = (file = '*') => run(['bash', '-c', `exec ${join(bin, 'bench/parley-bench')} audit ${join(books, file)} --demo ${demo} --json`]);
  const kept = await audit();
  assert.equal(kept.code, 0, kept.out + kept.err);
  const r = JSON.parse(kept.out);
  assert.equal(r.books, 3);
  assert.ok(r.posts_acknowledged >= first.posts_acknowledged + second.posts_acknowledged && r.history_missing === 0);
  await one.kill();
  rmSync(join(one.data, 'store'), { recursive: true });
  cpSync(before, join(one.data, 'store'), { recursive: true });
  await one.up();
  const lost = await audit();
  assert.equal(lost.code, 1);
  assert.ok(JSON.parse(lost.out).problems > 0);
  const file = join(books, readdirSync(books)[0]), whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length - 1));
  assert.match((await audit(basename(file))).err, /cut off, or no books/);
  await one.stop();
});

// A workspace made by populate, and its books: what is taken away behind its back is missed.
test('populate: threads and reactions are in the books; calls: what an answer must hold', { timeout: ms * 2, ...limit }, async () => {
  const one = await Parley.start({ settings: unlimited });
  const books = join(dir, 'people-books'), out = join(dir, 'people.json'), demo = join(dir, 'people-demo.json'), list = join(dir, 'calls.jsonl');
  mkdirSync(books);
  one.ctl('demo', '--users', '60', '--channels', '0', '--json', demo);
  const r = await json([join(bin, 'bench/parley-bench'), 'populate', trace(), '--demo', demo, '--out', out, '--channels', 20, '--messages', 2000, '--books', books, '--json']);
  assert.equal(r.problems, 0);
  assert.equal(r.posts_acknowledged, 2000);
  assert.equal(r.channels_private, 6);
  assert.ok(r.replies > 250 && r.replies < 550 && r.threads > 50 && r.replies_most > 5 && r.reactions > 50, JSON.stringify(r));
  const people = JSON.parse(readFileSync(out, 'utf8'));
  assert.equal(people.people.reduce((n, c) => n + c.roots + c.replies, 0), 2000);
  assert.equal(people.people.reduce((n, c) => n + c.members.length, 0), r.memberships);
  assert.equal(people.threads.reduce((n, t) => n + t[2], 0), r.replies);
  assert.ok(people.people[0].members.length >= 28 && people.people[19].members.length <= 6 && people.people[0].roots > 10 * people.people[19].roots);
  assert.equal((await run([join(bin, 'bench/parley-bench'), 'populate', trace(), '--demo', demo])).code, 2, 'without --out');
  await one.kill();
  await one.up();

  const audit = () => run(['bash', '-c', `exec ${join(bin, 'bench/parley-bench')} audit ${books}/* --demo ${out} --base-url http://127.0.0.1:${one.port} --json`]);
  const kept = await audit();
  assert.equal(kept.code, 0, kept.out + kept.err);
  assert.equal(JSON.parse(kept.out).threads, r.threads);
  const ask = (token, method, args) => one.call(method, token, args);
  const [at, ts, , newest] = people.threads.find(([, , n]) => n > 2), channel = people.people[at];
  const token = people.tokens[channel.members[0]];
  const thread = (await ask(token, 'conversations.replies', { channel: channel.id, ts })).messages;
  const author = thread.find((m) => m.ts === newest).user;
  let reacted;
  for (const c of people.people) {
    const m = (await ask(people.tokens[c.members[0]], 'conversations.history', { channel: c.id, limit: 999 })).messages.find((x) => x.reactions);
    if (m) { reacted = { channel: c.id, m }; break; }
  }
  const [{ name, users }] = reacted.m.reactions;
  assert.ok((await ask(people.tokens[people.user_ids.indexOf(users[0])], 'reactions.remove', { channel: reacted.channel, timestamp: reacted.m.ts, name })).ok);
  const without = await audit();
  assert.equal(without.code, 1);
  assert.match(without.out, /has lost a reaction/);
  assert.ok((await ask(people.tokens[people.user_ids.indexOf(author)], 'chat.delete', { channel: channel.id, ts: newest })).ok);
  const lost = JSON.parse((await audit()).out);
  assert.equal(lost.history_missing, 1);

  const calls = (lines, ...words) => {
    writeFileSync(list, lines.map((l) => `${JSON.stringify(l)}\n`).join(''));
    return run([join(bin, 'bench/parley-bench'), 'calls', list, '--demo', out, '--base-url', `http://127.0.0.1:${one.port}`, '--seconds', 1, '--json', ...words]);
  };
  const line = { token, method: 'conversations.history', args: { channel: channel.id, limit: 1 }, holds: channel.newest };
  for (const rate of [0, 150]) { // CPU is counted in ticks of 10 ms: 50 calls do not always fill one
    const good = await calls([line, { token, method: 'auth.test' }], '--rate', rate, '--pid', one.child.pid);
    assert.equal(good.code, 0, good.out + good.err);
    positive(JSON.parse(good.out), ['calls', 'calls_per_s', 'call_us.p99', 'answer_bytes', 'server_cpu_us_per_call', 'server_cpu_us_per_call_by_thread.acceptor']);
    if (rate) assert.equal(JSON.parse(good.out).calls, rate);
  }
  for (const bad of [{ ...line, holds: 'what is not there' }, { ...line, token: 'xoxp-1' }]) {
    const r2 = await calls([line, bad]);
    assert.equal(r2.code, 1);
    assert.doesNotMatch(r2.out, /call_us|calls_per_s|answer_bytes/);
  }
  assert.equal((await calls([{ method: 'auth.test' }])).code, 1, 'no token');
  assert.equal((await calls([])).code, 1, 'empty');
  await one.stop();
});

test('bench/people: what a grown workspace costs', { timeout: ms * 5, ...limit }, async () => {
  const keep = join(dir, 'grown');
  const quick = ['--json', '--quick', '--bin', bin, '--dir', join(dir, 'people')];
  const r = await json([join(top, 'bench/people'), ...quick, '--messages', 3000, '--keep', keep], { timeout: ms * 4 });
  assert.equal(r.made.audited, r.made.posts_acknowledged);
  assert.equal(r.made.audited_threads, r.made.threads);
  for (const part of ['history', 'threads', 'search', 'unread', 'start']) {
    const rows = r.rows.filter((x) => x.part === part);
    assert.ok(rows.length >= 2, part);
    for (const x of rows) positive(x, ['calls', 'cpu_us', 'per_s', 'p50_us', 'p99_us', 'bytes', 'by_thread.acceptor']);
  }
  for (const x of r.rows.filter((y) => y.part === 'search')) positive(x, ['rows']);
  for (const x of r.rows.filter((y) => y.part === 'posts')) positive(x, ['calls', 'cpu_us', 'per_s', 'p99_us', 'ratio']);
  assert.equal(r.rows.filter((x) => x.part === 'posts').length, 3);
  positive(r, ['made.cold_ready_ms', 'resident_bytes']);
  const again = await json([join(top, 'bench/people'), ...quick, '--kept', keep, '--only', 'threads'], { timeout: ms * 2 });
  assert.deepEqual([again.made, again.rows.length], [null, 2]);
  assert.deepEqual(readdirSync(join(dir, 'people')), []);
  assert.equal((await run([join(top, 'bench/people'), '--only', 'word'])).code, 2);
  assert.equal((await run([join(top, 'bench/people'), ...quick, '--kept', join(dir, 'nowhere')])).code, 2);
});

test('bench/files: what files cost', { timeout: ms * 2, ...limit }, async () => {
  const r = await json([join(top, 'bench/files'), '--json', '--quick', '--bin', bin, '--dir', join(dir, 'files')], { timeout: ms });
  assert.equal(r.sizes.length, 2);
  for (const x of r.sizes) positive(x, ['bytes', 'count', 'up_MiB_per_s', 'down_MiB_per_s']);
  assert.equal((await run([join(top, 'bench/files'), '--rounds', '0'])).code, 2);
});

test('bench/compare: ratios of pairs', { timeout: ms * 2, ...limit }, async () => {
  const r = await json([join(top, 'bench/compare'), '--json', '--pairs', 2, '--users', 8, '--dir', join(dir, 'compare'), '--set-b', 'threads.acceptor_with_chan=true', bin, bin, 'send', '--conns', 16, '--seconds', 2]);
  const f = r.figures.server_cpu_us_per_post;
  assert.equal(f.pairs, 2);
  assert.ok(f.least > 0 && f.least <= f.ratio && f.ratio <= f.greatest);
  assert.ok(r.figures['post_us.p99'].ratio > 0);
  assert.deepEqual(readdirSync(join(dir, 'compare')), []);
  assert.equal((await run([join(top, 'bench/compare'), bin])).code, 2);
});

test('bench/endure: a line each sample, a crash, and every post read by way of HTTP', { timeout: ms, ...limit }, async () => {
  const keep = join(dir, 'kept'), log = join(dir, 'endure.json');
  const r = await json([join(top, 'bench/endure'), '--json', '--bin', bin, '--minutes', 0.1, '--sample', 2, '--rate', 200, '--channels', 20, '--users', 8, '--conns', 8, '--kill', 1, '--dir', join(dir, 'endure'), '--keep', keep, '--log', log]);
  assert.ok(r.ok && r.kills.length === 1 && r.samples.length >= 2);
  assert.equal(r.cold.posts_acknowledged, r.report.posts_acknowledged);
  assert.ok(r.report.posts_acknowledged > 1000 && r.report.history_messages >= r.report.posts_acknowledged && r.report.server_restarts >= 1);
  positive(r, ['kills.0.ready_ms', 'end.cold_ready_ms', 'samples.0.posts', 'samples.0.server_cpu_us_per_post', 'samples.0.post_us.p99', 'samples.0.server_rss_bytes', 'samples.0.disk_bytes', 'samples.0.written_bytes_per_post', 'samples.0.owes.wal_bytes', 'samples.0.owes.memtable_bytes', 'samples.0.cpu_us_per_post.acceptor']);
  assert.ok(existsSync(join(keep, 'store')) && existsSync(`${keep}.demo.json`));
  assert.equal(readFileSync(log, 'utf8').trim().split('\n').length, r.samples.length + 2);
  assert.equal((await run([join(top, 'bench/endure'), '--rate', '0'])).code, 2);
  const s = await json([join(top, 'bench/scale'), '--json', '--quick', '--bin', bin, '--dir', join(dir, 'scale'), '--only', 'stored', '--large', keep, '--age', 1]);
  positive(s, ['stored.0.post_us', 'stored.1.post_us', 'stored.1.newest_page_us', 'stored.0.deep_page_us', 'stored.1.start_cold_ms', 'stored.1.start_killed_ms']);
  assert.deepEqual(readdirSync(join(dir, 'scale')), []);
  assert.equal((await run([join(top, 'bench/scale'), '--only', 'word'])).code, 2);
});

test('tools/bench-report: one page that needs nothing else', { timeout: ms * 2, ...limit }, async () => {
  const out = join(dir, 'report.html');
  const r = await run([join(top, 'tools/bench-report'), '--quick', '--only', 'history', '--only', 'start', '--bin', bin, '--dir', join(dir, 'report'), '--out', out]);
  assert.equal(r.code, 0, r.out + r.err);
  assert.match(r.out, /newest page of 100.*µs/);
  assert.match(r.out, /^[1-9]\d* posts that 1 loads had acknowledged/m);
  const page = readFileSync(out, 'utf8');
  assert.match(page, /<svg class="plot"/);
  assert.doesNotMatch(page, /(?:src|href)=|@import/);
  positive(JSON.parse(readFileSync(out.replace('.html', '.json'), 'utf8')), ['history.server_cpu_us_per_newest_page', 'start.ready_ms', 'start.rss']);
});

const perf = spawnSync('perf', ['record', '-q', '-e', 'cpu-clock', '-o', '/dev/null', 'true']).status === 0;
test('tools/profile: a flame graph of each thread', { timeout: ms, ...limit, ...(perf ? {} : { skip: 'perf may not sample here' }) }, async () => {
  const out = join(dir, 'profile.html');
  const load = bench(['send', '--conns', 8, '--seconds', 3], all);
  const r = await run([join(top, 'tools/profile'), '--pid', parley.child.pid, '--seconds', 1, '--out', out]);
  await load;
  assert.equal(r.code, 0, r.out + r.err);
  const page = readFileSync(out, 'utf8');
  assert.match(page, /<h3>acceptor: /);
  assert.match(page, /<svg class="flame"/);
  assert.ok(!existsSync(`${out}.perf`));
});
