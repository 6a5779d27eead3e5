// A client that ends its side as soon as it has asked still gets its answer, over TCP and over TLS.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import net from 'node:net';
import tls from 'node:tls';
import { Parley, freePort, history, slow } from './harness.mjs';

const dir = mkdtempSync(join(tmpdir(), 'parley-half-'));
let parley, demo, port;
before(async () => {
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const r = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key, '-out', cert]);
  assert.equal(r.status, 0, String(r.stderr));
  port = await freePort();
  parley = await Parley.start({ options: ['--tls-listen', `127.0.0.1:${port}`, '--cert', cert, '--key', key] });
  demo = parley.demo();
});
after(async () => {
  await parley.stop();
  rmSync(dir, { recursive: true });
});

function ask(socket, bytes) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    const timer = setTimeout(() => reject(new Error('no end')), 5000 * slow);
    socket.on('data', (d) => chunks.push(d));
    socket.on('error', reject);
    socket.on('end', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks).toString());
    });
    socket.end(bytes);
  });
}

function post(i) {
  const body = JSON.stringify({ channel: demo.channels.random.id, text: `half ${i}` });
  return `POST /api/chat.postMessage HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${demo.users[0].token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

test('requests, then FIN: all answers, then FIN', async () => {
  const text = await ask(net.connect({ port: parley.port, host: '127.0.0.1', allowHalfOpen: true }), post(1) + post(2) + post(3));
  assert.deepEqual(text.match(/HTTP\/1.1 200 OK/g)?.length, 3);
  assert.deepEqual([...text.matchAll(/"text":"(half \d)"/g)].map((m) => m[1]), ['half 1', 'half 2', 'half 3']);
});

test('a request, then close_notify and FIN', async () => {
  const text = await ask(tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, allowHalfOpen: true }), post(4));
  assert.match(text, /HTTP\/1.1 200 OK/);
  assert.match(text, /"text":"half 4"/);
  const seen = (await history(parley, demo.users[0].token, demo.channels.random.id)).map((m) => m.text).filter((t) => t?.startsWith('half'));
  assert.deepEqual(seen, ['half 4', 'half 3', 'half 2', 'half 1']);
});

test('half a request, then FIN', async () => {
  const text = await ask(net.connect({ port: parley.port, host: '127.0.0.1', allowHalfOpen: true }), post(5).slice(0, -3));
  assert.match(text, /^HTTP\/1.1 408 /);
  assert.match(text, /"error":"request_timeout"/);
});
