// What the daemon owes its operator: an end in time, a place at the control socket, a key that is not replaced.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import net from 'node:net';
import { Parley, closed, eventually, slow } from './harness.mjs';

function dial(to) {
  return new Promise((resolve, reject) => {
    const s = net.connect(to);
    s.on('connect', () => resolve(s)).on('error', reject);
  });
}

test('a client in the middle of a body does not keep a stopping server', async () => {
  const parley = await Parley.start({ settings: { 'server.drain_ms': 5000 * slow } });
  const demo = parley.demo();
  const s = await dial({ port: parley.port, host: '127.0.0.1' });
  let text = '';
  s.on('data', (d) => { text += d; });
  s.write(`POST /api/chat.postMessage HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${demo.users[0].token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"channel":`);
  await parley.metrics(); // a round trip later the head has been read
  const from = Date.now();
  const gone = closed(s);
  await parley.stop(); // exit status 0, or it throws
  await gone;
  assert.match(text, /^HTTP\/1.1 503 /);
  assert.match(text, /"error":"service_unavailable"/);
  assert.ok(Date.now() - from < 5000 * slow, 'within drain_ms');
});

test('idle clients of the control socket make room', async () => {
  const parley = await Parley.start({ settings: { 'http.idle_timeout_ms': 1000 } });
  const path = join(parley.data, 'control.sock');
  const idle = await Promise.all(Array.from({ length: 64 }, () => dial({ path })));
  let open = idle.length;
  for (const s of idle) s.resume().on('error', () => {}).on('close', () => { open -= 1; });
  await eventually(() => open === 0, 'idle connections closed');
  assert.equal(parley.ctlJson('status').ok, true);
  await parley.stop();
});

test('a lost key is not replaced by a new one', async () => {
  const parley = await Parley.start();
  const demo = parley.demo();
  const [key, away] = ['secret.key', 'away.key'].map((f) => join(parley.data, f));
  assert.equal((await parley.term()).code, 0);
  renameSync(key, away);
  await assert.rejects(parley.up(), /parleyd ended: .*"code":1[^]*secret_key[^]*restore it from a backup/);
  renameSync(away, key);
  parley.exit = undefined;
  await parley.up();
  assert.equal((await parley.call('auth.test', demo.users[0].token)).user, 'ada');
  await parley.stop();
});
