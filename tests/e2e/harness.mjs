// harness.mjs - a real parleyd on a scratch directory, its demo workspace, and raw sockets for what no SDK sends.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import http from 'node:http';
import net from 'node:net';
import { after } from 'node:test';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const here = fileURLToPath(new URL('.', import.meta.url)); // Node 18, Debian 12's, has no import.meta.dirname
export const bin = process.env.PARLEY_BIN ?? join(here, '../../build/release');
export const level = process.env.PARLEY_LEVEL ?? 'normal';
export const slow = /asan|tsan|debug/.test(bin) ? 5 : 1; // sanitizers: waits are that much longer
export { sleep };

export const sanitized = /asan|tsan/.test(bin);
process.env.TSAN_OPTIONS = `suppressions=${join(here, '../tsan.supp')} exitcode=66 second_deadlock_stack=1`; // of whoever starts a daemon
const levels = ['quick', 'normal', 'full'];

// What runs where: from which level on, and whether a sanitized daemon runs it too. Sanitizers cost five times the
// time, and their daemon makes other system calls than ours.
const plan = {
  http: ['quick', true],
  args: ['normal', true],
  shapes: ['normal', true],
  ws: ['normal', true],
  slowReader: ['normal', true],
  tls: ['normal', true],
  who: ['quick', true],
  people: ['quick', true],
  matrix: ['quick', true],
  methods: ['normal', true],
  starve: ['normal', true],
  ops: ['normal', true],
  restart: ['normal', false],
  strace: ['normal', false],
  latency: ['normal', false],
  fair: ['normal', false],
  chromium: ['normal', false],
  go: ['normal', true],
  terminal: ['normal', true],
  bench: ['normal', false],
};

// {skip} for node:test: false, or why.
export function at(part) {
  const [from, whenSanitized] = plan[part];
  if (levels.indexOf(level) < levels.indexOf(from)) return { skip: `runs from level ${from} on` };
  return { skip: sanitized && !whenSanitized ? 'not under sanitizers' : false };
}

// n at full speed, fewer where everything is slower
export const some = (n) => Math.max(1, Math.round(sanitized ? n / 4 : n));

// Below the range the kernel gives to clients: one that reconnects to a daemon that is down could otherwise get the
// daemon's own port, by connecting to itself.
export async function freePort() {
  for (;;) {
    const port = 10240 + Math.floor(Math.random() * 21000);
    const free = await new Promise((resolve) => {
      const s = net.createServer().once('error', () => resolve(false)).listen(port, '127.0.0.1', () => s.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

// A test that fails leaves its daemon behind; its sockets would keep this process alive.
const live = new Set();
const killAll = () => live.forEach((child) => child.kill('SIGKILL'));
process.on('exit', killAll);
setImmediate(() => after(() => {
  killAll();
  setTimeout(() => process.exit(), 10000).unref(); // a timer of a client that was not ours may be left, and would be waited for
})); // hooks run as they were registered: the file's own, which stop it politely, come first

export class Parley {
  // settings: {"section.key": value}; options: extra command-line words
  constructor({ settings = {}, options = [], data, env = {}, wrap = [] } = {}) {
    this.settings = settings;
    this.options = options;
    this.env = env;
    this.wrap = wrap; // a command the daemon runs under, e.g. strace
    this.ownData = data === undefined;
    this.data = data ?? mkdtempSync(join(tmpdir(), 'parley-'));
    this.log = '';
  }

  static async start(o) {
    const p = new Parley(o);
    await p.up();
    return p;
  }

  async up() {
    this.release(); // the sockets of a daemon that was killed may be reset as late as its io_uring is torn down
    this.port ??= await freePort();
    this.adminPort ??= await freePort();
    const args = ['--data', this.data, '--listen', `127.0.0.1:${this.port}`,
      '--admin-listen', `127.0.0.1:${this.adminPort}`, ...this.options];
    for (const [k, v] of Object.entries(this.settings)) args.push('--set', `${k}=${v}`);
    // A test process that is killed takes its daemons along.
    const words = ['setpriv', '--pdeathsig', 'KILL', ...this.wrap, join(bin, 'parleyd'), ...args];
    this.child = spawn(words[0], words.slice(1), {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...this.env },
    });
    const { child } = this;
    live.add(child);
    this.exited = once(child, 'exit').catch((e) => [e.code, null]).then(([code, signal]) => { // e: no such program
      live.delete(child);
      this.exit = { code, signal };
      return this.exit;
    });
    this.child.stderr.setEncoding('utf8').on('data', (s) => { this.log += s; });
    const deadline = Date.now() + 30000;
    const from = this.log.length;
    while (!this.log.slice(from).includes('"event":"ready"')) {
      if (this.exit) throw new Error(`parleyd ended: ${JSON.stringify(this.exit)}\n${this.log}`);
      if (Date.now() > deadline) throw new Error(`parleyd is not ready after 30 s\n${this.log}`);
      await sleep(10);
    }
    return this;
  }

  get url() { return `http://127.0.0.1:${this.port}`; }
  get api() { return `${this.url}/api/`; }

  ctl(...words) {
    const r = spawnSync(join(bin, 'parleyctl'), ['--data', this.data, ...words], { encoding: 'utf8' });
    if (r.status !== 0) throw new Error(`parleyctl ${words.join(' ')}: ${r.status}\n${r.stdout}${r.stderr}`);
    return r.stdout;
  }

  ctlJson(...words) { return JSON.parse(this.ctl('--json', ...words)); }

  demo(...words) {
    const file = join(this.data, 'demo-test.json');
    this.ctl('demo', ...words, '--json', file);
    return JSON.parse(readFileSync(file, 'utf8'));
  }

  // A workspace of its own for parley-bench; the file that tells of it.
  population(users, channels) {
    const file = join(this.data, 'population-test.json');
    this.ctl('demo', '--users', String(users), '--channels', String(channels), '--member-of-all', '--json', file);
    return file;
  }

  // One API call over the pool of this object. Gives the answer with its status and headers.
  call(method, token, args = {}, headers = {}) {
    this.agent ??= new http.Agent({ keepAlive: true });
    const body = JSON.stringify(args);
    return new Promise((resolve, reject) => {
      const request = http.request({ port: this.port, host: '127.0.0.1', path: `/api/${method}`, method: 'POST', agent: this.agent,
        headers: { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(body), ...(token ? { Authorization: `Bearer ${token}` } : {}), ...headers } }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (d) => { text += d; }).on('error', reject).on('end', () => {
          try {
            resolve(Object.assign(JSON.parse(text), { status: response.statusCode, headers: new Headers(response.headers) }));
          } catch (e) {
            reject(e);
          }
        });
      });
      request.on('error', reject).end(body);
    });
  }

  // Closes the pool: what stays open after this the server holds by itself.
  release() {
    this.agent?.destroy();
    this.agent = undefined;
  }

  // An administration command of which the status matters.
  ctlTry(...words) { return spawnSync(join(bin, 'parleyctl'), ['--data', this.data, ...words], { encoding: 'utf8' }); }

  async metrics() {
    const text = await (await fetch(`http://127.0.0.1:${this.adminPort}/metrics`, { headers: { Connection: 'close' } })).text();
    const out = {};
    for (const line of text.split('\n')) {
      const m = /^(\S+) (\S+)$/.exec(line);
      if (m) out[m[1]] = Number(m[2]);
    }
    return out;
  }

  // A client's idle connections are reset when the kernel has torn down the io_uring, which is later than the end of the
  // process: until then they look good, and a request on one would be lost. One more of them tells when it is over.
  async kill() {
    const witness = net.connect(this.port, '127.0.0.1').on('error', () => {});
    witness.write('GET /api/api.test HTTP/1.1\r\nHost: h\r\n\r\n');
    await Promise.race([once(witness, 'data'), sleep(1000)]).catch(() => {});
    const gone = witness.destroyed ? undefined : closed(witness);
    this.child.kill('SIGKILL');
    await this.exited;
    await Promise.race([gone, sleep(5000)]);
    witness.destroy();
    await new Promise(setImmediate);
    this.exit = undefined;
  }

  // Gauges and counters settle a turn later than the answer that moved them.
  async metric(name, want, what = name) {
    let last;
    return eventually(async () => want(last = (await this.metrics())[name]), what).catch((e) => { throw new Error(`${e.message} (${name} is ${last})`); });
  }

  // SIGTERM; the exit status
  async term() {
    this.child.kill('SIGTERM');
    const r = await this.exited;
    this.exit = undefined;
    return r;
  }

  async restart() {
    await this.kill();
    return this.up();
  }

  // Ends it politely and checks that it ended well: exit 0, no sanitizer report, no error that its method's row does not say.
  async stop() {
    this.release();
    const r = this.exit ?? (await this.term());
    if (this.ownData && existsSync(this.data)) rmSync(this.data, { recursive: true });
    if (/ERROR: (Address|Thread|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer/.test(this.log)) {
      throw new Error(`sanitizer report\n${this.log.slice(-8000)}`);
    }
    const undocumented = this.log.split('\n').filter((line) => line.includes('"event":"undocumented_error"'));
    if (undocumented.length > 0) throw new Error(undocumented.join('\n'));
    if (r.code !== 0) throw new Error(`parleyd ended with ${JSON.stringify(r)}\n${this.log.slice(-4000)}`);
  }
}

// Sends bytes, collects the answer until the peer closes or `until` matches or ms pass.
export function raw(port, bytes, { ms = 3000 * slow, until, host = '127.0.0.1', keep = false } = {}) {
  return new Promise((resolve, reject) => {
    const s = net.connect(port, host);
    const chunks = [];
    let timer;
    const done = (closed) => {
      clearTimeout(timer);
      if (!keep) s.destroy();
      resolve({ text: Buffer.concat(chunks).toString('latin1'), closed, socket: s });
    };
    timer = setTimeout(() => done(false), ms);
    s.on('data', (d) => {
      chunks.push(d);
      if (until && until.test(Buffer.concat(chunks).toString('latin1'))) done(false);
    });
    s.on('end', () => done(true));
    s.on('error', (e) => (e.code === 'ECONNRESET' || e.code === 'EPIPE' ? done(true) : reject(e)));
    s.on('connect', async () => {
      for (const part of Array.isArray(bytes) ? bytes : [bytes]) {
        if (typeof part === 'number') await sleep(part);
        else if (!s.destroyed) s.write(part);
      }
    });
  });
}

// When a socket is gone. once() would throw here if it went by a reset, which is as good an end as any.
export function closed(socket) {
  return new Promise((resolve) => { socket.once('close', resolve); });
}

// Whole HTTP answers in a raw text, in order; rest is what follows the last one.
export function answers(text) {
  const out = [];
  for (;;) {
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) break;
    const lines = text.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) \S/.exec(lines[0])?.[1]);
    const headers = {};
    for (const l of lines.slice(1)) headers[l.slice(0, l.indexOf(':')).toLowerCase()] = l.slice(l.indexOf(':') + 1).trim();
    const n = status < 200 || status === 204 || status === 304 ? 0 : Number(headers['content-length']);
    if (!(text.length >= end + 4 + n)) break;
    const body = Buffer.from(text.slice(end + 4, end + 4 + n), 'latin1').toString();
    let json;
    try { json = JSON.parse(body); } catch { json = undefined; }
    out.push({ status, headers, body, json, line: lines[0] });
    text = text.slice(end + 4 + n);
  }
  return Object.assign(out, { rest: text });
}

// A POST as bytes. headers: more of them, or undefined to leave one out.
export function post(method, token, body, headers = {}) {
  const data = Buffer.from(body);
  const fields = { Host: 'localhost', ...(token ? { Authorization: `Bearer ${token}` } : {}), 'Content-Type': 'application/json', 'Content-Length': data.length, ...headers };
  const head = Object.entries(fields).filter(([, v]) => v !== undefined).map(([k, v]) => `${k}: ${v}\r\n`).join('');
  return Buffer.concat([Buffer.from(`POST /api/${method} HTTP/1.1\r\n${head}\r\n`), data]);
}

// One keep-alive connection; ask() gives answers in order, several may be under way.
export class Conn {
  static async open(port, host = '127.0.0.1') {
    const c = new Conn();
    c.waiting = [];
    c.text = '';
    c.socket = net.connect(port, host).setNoDelay(true);
    c.socket.on('data', (d) => {
      c.text += d.toString('latin1');
      const got = answers(c.text);
      if (got.length > 0) c.text = got.rest;
      for (const a of got) c.waiting.shift()?.resolve(a);
    });
    const end = () => { c.ended = true; c.waiting.splice(0).forEach((w) => w.reject(new Error('the connection ended'))); };
    c.socket.on('close', end).on('error', () => {});
    await once(c.socket, 'connect');
    return c;
  }

  ask(bytes) {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(new Error('the connection ended'));
      this.waiting.push({ resolve, reject });
      return this.socket.write(bytes);
    });
  }

  // As Parley.call, on this connection.
  async call(method, token, args = {}) {
    const a = await this.ask(post(method, token, JSON.stringify(args)));
    return Object.assign(a.json, { status: a.status, retryAfter: a.headers['retry-after'] });
  }

  end() { this.socket.destroy(); }
}

export function percentile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

export async function eventually(check, what, ms = 10000 * slow) {
  const deadline = Date.now() + ms;
  for (;;) {
    const v = await check();
    if (v) return v;
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await sleep(20);
  }
}

// Every message of a channel, newest first, through all pages.
export async function history(parley, token, channel, args = {}) {
  const out = [];
  let cursor;
  do {
    const r = await parley.call('conversations.history', token, { channel, limit: 200, ...args, ...(cursor ? { cursor } : {}) });
    if (!r.ok) throw new Error(r.error);
    out.push(...r.messages);
    cursor = r.response_metadata?.next_cursor;
  } while (cursor);
  return out;
}
