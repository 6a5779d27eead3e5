// A real browser: a page of another origin posts by fetch and listens on the WebSocket.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { Parley, history, at, slow } from './harness.mjs';

// Runs in the browser. Reports what it saw to the server it came from.
async function page(api, token, channel) {
  const report = {};
  try {
    const call = async (method, args) => {
      const r = await fetch(api + method, { method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json; charset=utf-8' }, body: JSON.stringify(args) });
      return r.json();
    };
    const { url } = await call('rtm.connect', {});
    const events = [];
    const socket = new WebSocket(url);
    const got = (want) => new Promise((resolve) => {
      const look = () => { const e = events.find(want); if (e) { socket.removeEventListener('message', look); resolve(e); } };
      socket.addEventListener('message', look);
      look();
    });
    socket.addEventListener('message', (m) => events.push(JSON.parse(m.data)));
    socket.addEventListener('close', (e) => { report.closed = e.code; });
    await got((e) => e.type === 'hello');
    report.posted = await call('chat.postMessage', { channel, text: 'from a browser ünï 🎉' });
    report.event = await got((e) => e.ts === report.posted.ts);
    const form = new FormData(); // no preflight: a simple request with its token in the body
    form.set('token', token);
    form.set('channel', channel);
    form.set('text', 'from a form');
    report.form = await (await fetch(`${api}chat.postMessage`, { method: 'POST', body: form })).json();
    socket.send(JSON.stringify({ id: 1, type: 'message', channel, text: 'by the socket' }));
    report.reply = await got((e) => e.reply_to === 1);
    report.error = await call('chat.postMessage', { channel: 'C1', text: 'x' });
    report.unknown = await fetch(`${api}no.such.method`, { method: 'POST' }).then((r) => r.json());
    const ended = new Promise((resolve) => { socket.addEventListener('close', resolve); });
    socket.close(1000, 'done');
    await ended;
  } catch (e) {
    report.failed = String(e);
  }
  await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
}

describe('a browser', at('chromium'), () => {
  test('posts across origins and receives the event', async (t) => {
    const parley = await Parley.start();
    const demo = parley.demo();
    const channel = demo.channels.random.id;
    let done;
    const report = new Promise((resolve) => { done = resolve; });
    const server = createServer((req, res) => {
      if (req.method !== 'POST') {
        res.setHeader('Content-Type', 'text/html; charset=utf-8');
        res.end(`<!doctype html><title>t</title><script>(${page})(${JSON.stringify(parley.api)}, ${JSON.stringify(demo.users[0].token)}, ${JSON.stringify(channel)})</script>`);
        return;
      }
      let text = '';
      req.on('data', (d) => { text += d; }).on('end', () => { res.end(); done(JSON.parse(text)); });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const profile = mkdtempSync(join(tmpdir(), 'parley-chromium-'));
    const browser = spawn('chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-dev-shm-usage', `--user-data-dir=${profile}`, '--remote-debugging-port=0', `http://localhost:${server.address().port}/`], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    let log = '';
    browser.stderr.on('data', (d) => { log += d; });
    t.after(async () => {
      try { process.kill(-browser.pid, 'SIGKILL'); } catch { /* it ended */ }
      await new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    });
    const timer = setTimeout(() => done({ failed: `no report from the browser\n${log.slice(-3000)}` }), 40000 * slow);
    const failed = once(browser, 'error').then(([e]) => ({ failed: `chromium does not start: ${e.message}` }));
    const r = await Promise.race([report, failed]);
    clearTimeout(timer);
    assert.equal(r.failed, undefined, r.failed);
    assert.equal(r.posted.ok, true);
    assert.equal(r.event.text, 'from a browser ünï 🎉');
    assert.equal(r.form.ok, true);
    assert.deepEqual([r.reply.ok, r.error.error, r.unknown.error, r.closed], [true, 'channel_not_found', 'unknown_method', 1000]);
    assert.deepEqual((await history(parley, demo.users[1].token, channel)).map((m) => m.text), ['by the socket', 'from a form', 'from a browser ünï 🎉']);
    await parley.stop();
  });
});
