// ws.mjs - a WebSocket client written for the tests, so that server and test share no codec. It checks what the
// server sends more strictly than any browser does, and can send what no library would.
import net from 'node:net';
import tls from 'node:tls';
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { slow } from './harness.mjs';

export const OP = { CONT: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };

// Bytes of one client frame. lenForm: 'min', 16 or 64 forces a length form; len forces the declared length.
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = true, lenForm = 'min', len } = {}) {
  const data = Buffer.from(payload);
  const n = BigInt(len ?? data.length);
  const form = lenForm === 'min' ? (n < 126n ? 7 : n < 65536n ? 16 : 64) : lenForm;
  const head = Buffer.alloc(form === 7 ? 2 : form === 16 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 0x80 : 0) | (form === 7 ? Number(n) : form === 16 ? 126 : 127);
  if (form === 16) head.writeUInt16BE(Number(n), 2);
  if (form === 64) head.writeBigUInt64BE(n, 2);
  if (!mask) return Buffer.concat([head, data]);
  const key = randomBytes(4);
  const masked = Buffer.alloc(data.length);
  for (let i = 0; i < data.length; i++) masked[i] = data[i] ^ key[i & 3];
  return Buffer.concat([head, key, masked]);
}

export function closePayload(code, reason = '') {
  const b = Buffer.alloc(2);
  b.writeUInt16BE(code);
  return Buffer.concat([b, Buffer.from(reason)]);
}

export function upgradeRequest(path, host, { key = randomBytes(16).toString('base64'), headers = {} } = {}) {
  const fields = { Host: host, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': key, 'Sec-WebSocket-Version': '13', ...headers };
  return `GET ${path} HTTP/1.1\r\n${Object.entries(fields).filter(([, v]) => v !== undefined).map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`;
}

export class Ws extends EventEmitter {
  constructor() {
    super();
    this.setMaxListeners(0);
    this.events = []; // parsed text frames
    this.pings = [];
    this.pongs = [];
    this.autoPong = true;
    this.keep = true; // false: count events, do not store them
    this.count = 0;
    this.bytes = 0;
    this.buffer = Buffer.alloc(0);
    this.closed = new Promise((resolve) => { this.resolveClosed = resolve; });
  }

  // Resolves when the 101 is there, or with {status, body} set on the object when it is refused.
  // first: bytes sent in the same segment as the request.
  static open(url, { headers, first, tlsOptions = {}, ms = 10000 * slow } = {}) {
    const u = new URL(url);
    const ws = new Ws();
    const key = randomBytes(16).toString('base64');
    const secure = u.protocol === 'wss:';
    const port = Number(u.port || (secure ? 443 : 80));
    ws.socket = secure ? tls.connect({ port, host: u.hostname, ...tlsOptions }) : net.connect(port, u.hostname);
    ws.socket.setNoDelay(true);
    ws.socket.on(secure ? 'secureConnect' : 'connect', () => {
      const head = Buffer.from(upgradeRequest(u.pathname + u.search, u.host, { key, headers }));
      ws.socket.write(first ? Buffer.concat([head, first]) : head);
    });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => { ws.socket.destroy(); reject(new Error(`no answer to the upgrade of ${url}`)); }, ms);
      const settle = (v) => { clearTimeout(timer); if (v instanceof Error) reject(v); else resolve(v); };
      ws.socket.on('error', (e) => { ws.error = e.code; settle(e); });
      ws.socket.on('close', () => {
        ws.isClosed = true;
        ws.resolveClosed({ code: ws.closeCode, reset: ws.error === 'ECONNRESET' });
        ws.emit('change');
        settle(ws.status ? ws : new Error('closed before the upgrade was answered'));
      });
      ws.socket.on('data', (d) => {
        ws.bytes += d.length;
        ws.buffer = ws.buffer.length === 0 ? d : Buffer.concat([ws.buffer, d]);
        if (ws.status === undefined) ws.head(key, settle);
        if (ws.status === 101) ws.frames();
        ws.emit('change');
      });
    });
  }

  head(key, settle) {
    const end = this.buffer.indexOf('\r\n\r\n');
    if (end < 0) return;
    const text = this.buffer.subarray(0, end).toString('latin1');
    this.status = Number(/^HTTP\/1\.1 (\d{3}) .+/.exec(text)?.[1]);
    this.headers = Object.fromEntries(text.split('\r\n').slice(1).map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]));
    this.buffer = this.buffer.subarray(end + 4);
    if (this.status !== 101) { // the body follows; the socket's end settles it
      const want = Number(this.headers['content-length'] ?? 0);
      const whole = () => {
        if (this.buffer.length < want) return this.once('change', whole);
        this.body = this.buffer.subarray(0, want).toString();
        return settle(this);
      };
      whole();
      return;
    }
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    if (this.headers['sec-websocket-accept'] !== accept) settle(new Error('wrong Sec-WebSocket-Accept'));
    else settle(this);
  }

  frames() {
    let at = 0;
    for (;;) {
      const b = this.buffer;
      if (b.length - at < 2) break;
      let n = b[at + 1] & 0x7f;
      let head = 2;
      if (n === 126) {
        if (b.length - at < 4) break;
        n = b.readUInt16BE(at + 2);
        head = 4;
        if (n < 126) this.bad('length not minimal');
      } else if (n === 127) {
        if (b.length - at < 10) break;
        n = Number(b.readBigUInt64BE(at + 2));
        head = 10;
        if (n < 65536) this.bad('length not minimal');
      }
      if (b[at + 1] & 0x80) this.bad('masked by the server');
      if ((b[at] & 0xf0) !== 0x80) this.bad(`fragment or reserved bits ${b[at].toString(16)}`);
      if (b.length - at < head + n) break;
      this.onFrame(b[at] & 15, b.subarray(at + head, at + head + n));
      at += head + n;
    }
    if (at > 0) this.buffer = this.buffer.subarray(at);
  }

  bad(why) { this.broken ??= why; }

  onFrame(opcode, payload) {
    if (this.closeCode !== undefined) this.bad('a frame after close');
    if (opcode === OP.TEXT) {
      const text = payload.toString();
      if (/[\r\n]/.test(text)) this.bad('an event on more than one line');
      this.count++;
      if (this.keep) {
        this.events.push(JSON.parse(text));
        this.emit('event', this.events.at(-1));
      } else this.emit('text', text);
    } else if (opcode === OP.PING) {
      this.pings.push(Buffer.from(payload));
      if (this.autoPong) this.socket.write(frame(OP.PONG, payload));
    } else if (opcode === OP.PONG) this.pongs.push(Buffer.from(payload));
    else if (opcode === OP.CLOSE) this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
    else this.bad(`opcode ${opcode}`);
  }

  send(object) { return this.socket.write(frame(OP.TEXT, JSON.stringify(object))); }
  write(bytes) { return this.socket.write(bytes); }
  pause() { this.socket.pause(); }
  resume() { this.socket.resume(); }
  destroy() { this.socket.destroy(); }

  // Waits until check() is true; looks again whenever bytes come.
  until(check, what, ms = 10000 * slow) {
    return new Promise((resolve, reject) => {
      let timer;
      const settle = (how, v) => {
        clearTimeout(timer);
        this.off('change', look);
        how(v);
      };
      const never = () => settle(reject, new Error(`never happened on this socket: ${what}; ${this.isClosed ? `closed, code ${this.closeCode}` : 'open'}, last events ${JSON.stringify(this.events.slice(-3))}`));
      const look = () => {
        const v = check();
        if (v) settle(resolve, v);
        else if (this.isClosed) never(); // nothing comes any more
      };
      timer = setTimeout(never, ms);
      this.on('change', look);
      look();
    });
  }

  event(pred, what = pred.toString(), ms) { return this.until(() => this.events.find(pred), what, ms); }
  pong(payload, ms) { return this.until(() => this.pongs.find((p) => p.equals(Buffer.from(payload))), `pong ${payload}`, ms); }

  // A ping answered: everything the server had queued for this socket before has been seen.
  async flushed() {
    const mark = randomBytes(8).toString('hex');
    this.write(frame(OP.PING, mark));
    await this.pong(mark);
  }

  // Closes as RFC 6455 says and waits for the peer.
  async bye(code = 1000) {
    if (!this.isClosed) this.write(frame(OP.CLOSE, closePayload(code)));
    return this.closed;
  }
}

// A ticket, a socket, its hello. lastTs: the newest ts that the client has got.
export async function rtm(parley, token, { lastTs, ...options } = {}) {
  const r = await parley.call('rtm.connect', token, lastTs === undefined ? {} : { last_ts: lastTs });
  if (!r.ok) throw new Error(`rtm.connect: ${r.status} ${r.error}`);
  const ws = await Ws.open(r.url, options);
  if (ws.status !== 101) throw new Error(`upgrade: ${ws.status} ${ws.body}`);
  await ws.until(() => ws.count > 0, 'hello');
  ws.self = r.self;
  return ws;
}
