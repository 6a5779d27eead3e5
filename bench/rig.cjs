// rig.cjs - a parleyd on a scratch store with a population, parley-bench and the floors run against it: what
// bench/compare, tools/bench-report and tools/profile share. Every process started here ends with the script.
'use strict';
const { spawn, spawnSync } = require('node:child_process');
const { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } = require('node:fs');
const net = require('node:net');
const { join } = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');

const readyMs = 30000, stopMs = 20000, lossMs = 60000, auditMs = 600000, userMs = 50;
const audited = { books: 0, posts: 0 }; // of all servers, after a new start
const unlimited = ['api.rate_posts_per_s=10000000', 'api.rate_factor=1000000', 'ws.connects_per_s=1000000'];
const children = new Set();
const scratch = new Set(); // stores, and books beside them

function cleanUp() {
  for (const c of children) c.kill('SIGKILL');
  for (const d of scratch) rmSync(d, { recursive: true, force: true });
}
process.on('exit', cleanUp);
for (const s of ['SIGINT', 'SIGTERM']) process.on(s, () => process.exit(130));

function start(words, options = {}) {
  const child = spawn(words[0], words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  child.out = '';
  child.err = '';
  child.stdout.setEncoding('utf8').on('data', (s) => { child.out += s; });
  child.stderr.setEncoding('utf8').on('data', (s) => { child.err = (child.err + s).slice(-65536); });
  children.add(child);
  child.ended = new Promise((resolve) => {
    child.on('error', (e) => { child.err += e.message; resolve(127); });
    child.on('close', (code) => resolve(code));
  }).then((code) => { children.delete(child); return code; });
  return child;
}

// Runs to the end; its standard output. Bounded: a load that hangs is a failure.
async function run(words, ms) {
  const child = start(words);
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  const code = await child.ended;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${words.join(' ')}: ${code === null ? `killed after ${ms} ms` : code}\n${child.out.slice(-2000)}${child.err.slice(-2000)}`);
  return child.out;
}

const onCores = (list) => (list ? ['taskset', '-c', list] : []);

class Server {
  // bin: a build folder; dir: where stores go, on a real disk; sets: ["section.key=value"]; tls: loads come over HTTPS;
  // config: a file of settings; kept: a data directory of before, whose population is in KEPT.demo.json; cores: of
  // the server and of its loads, as taskset wants them
  constructor({ bin, dir, sets = [], users = 128, channels = 4, memberOfAll = true, port = 0, tls = false, config = '', kept = '', cores = {} }) {
    Object.assign(this, { bin, sets, users, channels, memberOfAll, port, tls, config, kept, cores });
    mkdirSync(dir, { recursive: true });
    this.data = kept || mkdtempSync(join(dir, 'store-'));
    if (!kept) scratch.add(this.data);
    this.books = `${this.data}.books`;
    this.closeBooks(); // of a run that was cut off
    if (tls) this.sets = [...sets, 'server.tls_listen=127.0.0.1:0', ...this.certificate()];
  }

  certificate() {
    const [key, cert] = ['key', 'cert'].map((n) => join(this.data, `bench.${n}.pem`));
    const r = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=localhost', '-keyout', key, '-out', cert], { encoding: 'utf8' });
    if (r.status !== 0) throw new Error(`openssl: ${r.error ? r.error.message : r.stderr}`);
    return [`server.cert=${cert}`, `server.key=${key}`];
  }

  static async up(o) {
    const s = new Server(o);
    await s.start();
    return s;
  }

  async start() {
    await this.launch();
    this.rssEmpty = this.rss();
    this.demo = this.kept ? `${this.kept}.demo.json` : await this.population(this.users, this.channels, this.memberOfAll);
  }

  // The daemon on what is there already; on the same port again.
  async launch() {
    const began = process.hrtime.bigint();
    const sets = [...unlimited, ...this.sets].flatMap((s) => ['--set', s]);
    this.child = start([...onCores(this.cores.server), join(this.bin, 'parleyd'), '--data', this.data, '--listen', `127.0.0.1:${this.port}`, '--log-level', 'info', ...(this.config ? ['--config', this.config] : []), ...sets]);
    for (const deadline = Date.now() + readyMs; !this.child.err.includes('"event":"ready"'); await sleep(2)) {
      if (this.child.exitCode !== null || Date.now() > deadline) throw new Error(`parleyd is not ready\n${this.child.err}`);
    }
    this.readyMs = Number(process.hrtime.bigint() - began) / 1e6;
    this.pid = this.child.pid;
    this.port = Number(/"http_port":(\d+)/.exec(this.child.err)?.[1]);
    this.httpsPort = Number(/"https_port":(\d+)/.exec(this.child.err)?.[1]);
  }

  // A workspace of its own; the file that tells parley-bench of it.
  async population(users, channels, memberOfAll) {
    const file = join(this.data, `population-${users}-${channels}.json`);
    await run([join(this.bin, 'parleyctl'), '--data', this.data, 'demo', '--users', String(users), '--channels', String(channels),
      ...(memberOfAll ? ['--member-of-all'] : []), '--json', file], 120000 + users * userMs);
    return file;
  }

  rss() { return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]) * 1024; }

  async metrics() {
    const port = readFileSync(join(this.data, 'admin.port'), 'utf8').trim();
    const out = {};
    for (const line of (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).split('\n')) {
      const m = /^parley_(\S+) (\S+)$/.exec(line);
      if (m) out[m[1]] = Number(m[2]);
    }
    return out;
  }

  words(words, benchBin = this.bin, demo = this.demo) {
    return [...onCores(this.cores.bench), join(benchBin, 'bench/parley-bench'), ...words.map(String), '--demo', demo, '--pid', String(this.pid), '--json',
      '--base-url', this.tls ? `https://127.0.0.1:${this.httpsPort}` : `http://127.0.0.1:${this.port}`];
  }

  // A load with its audit; its report. Throws when the audit fails: there is no figure then. What was acknowledged is
  // kept for stop(), outside the store.
  async bench(words, benchBin, demo) {
    const at = words.indexOf('--seconds');
    const seconds = at >= 0 ? Number(words[at + 1]) : 10;
    if (words[0] === 'idle') return JSON.parse(await run(this.words(words, benchBin, demo), lossMs + seconds * 4000));
    try {
      return JSON.parse(await run([...this.words(words, benchBin, demo), '--books', this.openBooks(benchBin)], lossMs + seconds * 4000));
    } catch (e) { // is what there is to say; no second audit follows
      this.closeBooks();
      throw e;
    }
  }

  openBooks(benchBin = this.bin) {
    this.benchBin = benchBin;
    mkdirSync(this.books, { recursive: true });
    scratch.add(this.books);
    return this.books;
  }

  closeBooks() {
    rmSync(this.books, { recursive: true, force: true });
    scratch.delete(this.books);
  }

  // Every post that any load was told of is there, once, in order, with its text, when the server was started anew on what
  // is on disk, with the page cache empty of it.
  async auditAnew() {
    const books = existsSync(this.books) ? readdirSync(this.books).map((n) => join(this.books, n)) : [];
    if (books.length === 0) return null;
    const code = await this.quit();
    if (code !== 0) throw new Error(`parleyd ended with ${code}\n${this.child.err.slice(-4000)}`);
    await this.forgetCache();
    await this.launch();
    const report = JSON.parse(await run(this.words(['audit', ...books], this.benchBin), auditMs));
    audited.books += report.books;
    audited.posts += report.posts_acknowledged;
    this.closeBooks();
    return report;
  }

  async kill() {
    this.child.kill('SIGKILL');
    await this.child.ended;
  }

  // The daemon ends as it should; the store stays.
  async quit() {
    if (this.child.exitCode === null) this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), stopMs);
    const code = await this.child.ended;
    clearTimeout(timer);
    return code;
  }

  // The next start finds the page cache empty of the store's files.
  async forgetCache() {
    const store = join(this.data, 'store');
    for (const name of readdirSync(store)) {
      await run(['dd', `of=${join(store, name)}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'], 30000);
    }
  }

  // What it takes on disk: all of it, and the log of commits.
  disk() {
    const sum = { bytes: 0, wal: 0 };
    const store = join(this.data, 'store');
    for (const name of readdirSync(store)) {
      try {
        const { blocks, size } = statSync(join(store, name));
        sum.bytes += blocks * 512;
        if (name.endsWith('.log')) sum.wal += size;
      } catch { /* gone meanwhile */ }
    }
    return sum;
  }

  // The store is the caller's: it is not removed.
  keep() { scratch.delete(this.data); }

  async stop() {
    let code;
    try {
      if (this.child.exitCode === null) await this.auditAnew();
    } finally {
      code = await this.quit();
      if (scratch.has(this.data)) rmSync(this.data, { recursive: true, force: true });
      scratch.delete(this.data);
      this.closeBooks();
    }
    if (code !== 0) throw new Error(`parleyd ended with ${code}\n${this.child.err.slice(-4000)}`);
  }
}

// Below the range that the kernel gives to clients: one that reconnects while the daemon is down could get the daemon's
// port by connecting to itself.
async function freePort() {
  for (;;) {
    const port = 10240 + Math.floor(Math.random() * 21000);
    const free = await new Promise((resolve) => {
      const s = net.createServer().once('error', () => resolve(false)).listen(port, '127.0.0.1', () => s.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

async function floor(bin, name, words, dir, seconds) {
  mkdirSync(dir, { recursive: true });
  return JSON.parse(await run([join(bin, 'bench', name), '--json', '--seconds', String(seconds), '--dir', dir, ...words.map(String)], 10000 + seconds * 3000));
}

function median(values) {
  const s = [...values].sort((a, b) => a - b);
  const m = s.length >> 1;
  return s.length % 2 ? s[m] : (s[m - 1] + s[m]) / 2;
}

// "post_us.p50": numbers of a report and of its objects
function flatten(report, prefix = '', out = {}) {
  for (const [k, v] of Object.entries(report)) {
    if (typeof v === 'number') out[prefix + k] = v;
    else if (v && typeof v === 'object' && !Array.isArray(v)) flatten(v, `${prefix}${k}.`, out);
  }
  return out;
}

function need(bin, names) {
  const missing = names.filter((n) => !existsSync(join(bin, n)));
  if (missing.length) throw new Error(`${bin} lacks ${missing.join(', ')}: cmake --preset release && ninja -C build/release`);
}

module.exports = { Server, audited, freePort, start, run, floor, median, flatten, need, sleep };
