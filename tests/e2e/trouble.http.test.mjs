// What bad HTTP gets: one row per line of the table. Each row sends its bytes and, right behind them, a whole valid
// post: not one byte of that may be run when the row is refused.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { Parley, raw, answers, closed, post, history, percentile, eventually, at, some, slow } from './harness.mjs';

const CRLF = '\r\n';
const head = (lines) => [...lines, '', ''].join(CRLF);
const rows = (token) => {
  const auth = `Authorization: Bearer ${token}`;
  const req = (...lines) => head(['POST /api/api.test HTTP/1.1', 'Host: h', ...lines]);
  const get = (target, ...lines) => head([`GET ${target} HTTP/1.1`, 'Host: h', ...lines]);
  const chunked = (body) => req('Transfer-Encoding: chunked', 'Content-Type: application/json') + body;
  return [
    // framing of the body
    ['Content-Length with Transfer-Encoding', req('Content-Length: 5', 'Transfer-Encoding: chunked') + '0\r\n\r\n', 400],
    ['Transfer-Encoding with Content-Length', req('Transfer-Encoding: chunked', 'Content-Length: 5') + '0\r\n\r\n', 400],
    ['two Content-Lengths that differ', req('Content-Length: 0', 'Content-Length: 5'), 400],
    ['two Content-Lengths that agree', req('Content-Length: 0', 'Content-Length: 0'), 400],
    ['a list as Content-Length', req('Content-Length: 0, 0'), 400],
    ['a signed Content-Length', req('Content-Length: +0'), 400],
    ['a negative Content-Length', req('Content-Length: -1'), 400],
    ['a hexadecimal Content-Length', req('Content-Length: 0x0'), 400],
    ['an empty Content-Length', req('Content-Length: '), 400],
    ['a Content-Length with a blank inside', req('Content-Length: 0 0'), 400],
    ['a Content-Length past 64 bits', req('Content-Length: 18446744073709551616'), [400, 413]],
    ['gzip as transfer coding', req('Transfer-Encoding: gzip'), 501],
    ['gzip, chunked', req('Transfer-Encoding: gzip, chunked'), 501],
    ['chunked twice', req('Transfer-Encoding: chunked, chunked'), [400, 501]],
    ['chunked in two fields', req('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'), [400, 501]],
    ['chunked in quotes', req('Transfer-Encoding: "chunked"'), [400, 501]],
    ['xchunked', req('Transfer-Encoding: xchunked'), [400, 501]],
    ['chunked behind a vertical tab', req('Transfer-Encoding: \x0bchunked'), [400, 501]],
    ['chunked with a parameter', req('Transfer-Encoding: chunked;q=1'), [400, 501]],
    ['an empty transfer coding', req('Transfer-Encoding: '), [400, 501]],
    ['chunked in HTTP/1.0', head(['POST /api/api.test HTTP/1.0', 'Host: h', 'Transfer-Encoding: chunked']) + '0\r\n\r\n', 400],
    // lines and fields
    ['a bare LF ends the request line', 'GET /api/api.test HTTP/1.1\nHost: h\r\n\r\n', 400],
    ['a bare LF ends a field', 'GET /api/api.test HTTP/1.1\r\nHost: h\nX: y\r\n\r\n', 400],
    ['a bare CR in a value', get('/api/api.test', 'X: a\rb'), 400],
    ['a bare CR in the request line', 'GET /api/\rapi.test HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['an obsolete fold', get('/api/api.test', 'X: a', ' b'), 400],
    ['an obsolete fold by tab', get('/api/api.test', 'X: a', '\tb'), 400],
    ['a fold in the first field', head(['GET /api/api.test HTTP/1.1', ' Host: h']), 400],
    ['a space before the colon', get('/api/api.test', 'Content-Length : 0'), 400],
    ['NUL in a value', get('/api/api.test', 'X: a\0b'), 400],
    ['a control byte in a value', get('/api/api.test', 'X: a\x01b'), 400],
    ['DEL in a value', get('/api/api.test', 'X: a\x7fb'), 400],
    ['an empty field name', get('/api/api.test', ': x'), 400],
    ['a field without a colon', get('/api/api.test', 'X'), 400],
    ['a field name with a bracket', get('/api/api.test', 'X(Y: z'), 400],
    ['a field name beyond ASCII', get('/api/api.test', 'X\xe9: z'), 400],
    ['NUL in the target', get('/api/api.test\0'), 400],
    ['a control byte in the target', get('/api/api\x01.test'), 400],
    // request line
    ['a request line of one word', 'GET\r\nHost: h\r\n\r\n', 400],
    ['HTTP/0.9', 'GET /api/api.test\r\n\r\n', 400],
    ['two spaces in the request line', 'GET  /api/api.test HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['a fourth word', 'GET /api/api.test HTTP/1.1 x\r\nHost: h\r\n\r\n', 400],
    ['a leading space', ' GET /api/api.test HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['a tab in the request line', 'GET\t/api/api.test HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['a lower-case version', 'GET /api/api.test http/1.1\r\nHost: h\r\n\r\n', [400, 505]],
    ['a target without a slash', 'GET api/api.test HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['version 2.0', 'GET /api/api.test HTTP/2.0\r\nHost: h\r\n\r\n', 505],
    ['version 0.9', 'GET /api/api.test HTTP/0.9\r\nHost: h\r\n\r\n', 505],
    ['an odd version', 'GET /api/api.test HTTP/1.1.1\r\nHost: h\r\n\r\n', [400, 505]],
    ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex'), 400, { behind: Buffer.from('\r\n\r\n') }],
    ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 505]],
    // Host
    ['no Host', 'GET /api/api.test HTTP/1.1\r\n\r\n', 400],
    ['two Hosts', get('/api/api.test', 'Host: h'), 400],
    ['a Host with a space', 'GET /api/api.test HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
    ['a Host with a path', 'GET /api/api.test HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
    ['a Host with user info', 'GET /api/api.test HTTP/1.1\r\nHost: u@h\r\n\r\n', 400],
    ['a Host with a bad port', 'GET /api/api.test HTTP/1.1\r\nHost: h:8x\r\n\r\n', 400],
    // chunks
    ['a chunk size past 64 bits', chunked('10000000000000000\r\n'), [400, 413]],
    ['a chunk size with a sign', chunked('-1\r\n'), 400],
    ['a chunk size with 0x', chunked('0x2\r\n{}\r\n0\r\n\r\n'), 400],
    ['an empty chunk size', chunked('\r\n{}\r\n0\r\n\r\n'), 400],
    ['a bare LF behind a size', chunked('2\n{}\r\n0\r\n\r\n'), 400],
    ['a bare LF in an extension', chunked('2;a\n{}\r\n0\r\n\r\n'), 400],
    ['no CRLF behind the data', chunked('2\r\n{}0\r\n\r\n'), 400],
    ['LF only behind the data', chunked('2\r\n{}\n0\r\n\r\n'), 400],
    ['a bare LF in a trailer', chunked('2\r\n{}\r\n0\r\nX: y\n\r\n'), 400],
    ['a broken trailer', chunked('2\r\n{}\r\n0\r\nX y\r\n\r\n'), 400],
    ['one extension over 256 bytes', chunked(`2;${'a'.repeat(300)}\r\n{}\r\n0\r\n\r\n`), [400, 413]],
    ['a flood of extensions', chunked(`${Array.from('{"a":1}  '.repeat(2000), (c) => `1;abcdefgh=ijklmnop\r\n${c}\r\n`).join('')}0\r\n\r\n`), [400, 413]],
    ['a flood of trailers', chunked(`2\r\n{}\r\n0\r\n${'X: y\r\n'.repeat(2000)}\r\n`), [400, 431]],
    ['chunks past the body limit', chunked(`${'40000\r\n'}${' '.repeat(0x40000)}\r\n`.repeat(5)), 413],
    ['one chunk past the body limit', chunked('100001\r\n'), 413],
    // sizes, judged on the declaration
    ['a request line over 8 KiB', get(`/api/api.test?a=${'b'.repeat(8192)}`), 414],
    ['a request line that never ends', `GET /api/api.test?a=${'b'.repeat(9000)}`, 414],
    ['a head over 32 KiB', get('/api/api.test', ...Array.from({ length: 9 }, (_, i) => `X${i}: ${'y'.repeat(3900)}`)), 431],
    ['101 fields', get('/api/api.test', ...Array.from({ length: 101 }, (_, i) => `X${i}: y`)), 431],
    ['a body declared over 1 MiB', req(auth, 'Content-Type: application/json', 'Content-Length: 1048577'), 413],
    ['Expect with a body over 1 MiB', req(auth, 'Expect: 100-continue', 'Content-Length: 1048577'), 413],
    ['an unknown expectation', req('Expect: 200-ok', 'Content-Length: 0'), 417],
    // coded and unknown bodies
    ['a gzip body', req(auth, 'Content-Encoding: gzip', 'Content-Type: application/json', 'Content-Length: 2') + '{}', 415],
  ];
};

describe('HTTP trouble', at('http'), () => {
  let parley, demo, channel, token;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    channel = demo.channels.random.id;
    token = demo.users[0].token;
  });
  after(() => parley.stop());

  const smuggled = (n) => post('chat.postMessage', token, JSON.stringify({ channel, text: `smuggled ${n}` }));

  test('every malformed request gets its status, the connection ends, nothing behind it is run', async (t) => {
    const table = rows(token);
    await Promise.all(Array.from({ length: 8 }, async (_, lane) => {
      for (let i = lane; i < table.length; i += 8) {
        const [name, bytes, status, { behind } = {}] = table[i];
        await t.test(name, async () => {
          const r = await raw(parley.port, [Buffer.concat([Buffer.from(bytes, 'latin1'), behind ?? Buffer.alloc(0), smuggled(i)])]);
          const got = answers(r.text);
          assert.ok(r.closed, `${name}: the connection is still open: ${r.text}`);
          assert.equal(got.length, 1, `${name}: ${r.text}`);
          assert.equal(got.rest, '', name);
          assert.ok([status].flat().includes(got[0].status), `${name}: ${got[0].status}, wanted ${status}`);
          assert.equal(got[0].json.ok, false);
          assert.equal(got[0].headers.connection, 'close');
        });
      }
    }));
    const texts = (await history(parley, token, channel)).map((m) => m.text);
    assert.deepEqual(texts.filter((s) => s.startsWith('smuggled')), []);
  });

  test('limits are exact: one under passes', async () => {
    const line = `GET /api/api.test?a=${'b'.repeat(8192 - 'GET /api/api.test?a= HTTP/1.1'.length)} HTTP/1.1`;
    assert.equal(line.length, 8192);
    const fields = Array.from({ length: 98 }, (_, i) => `X${i}: y`);
    const body = JSON.stringify({ a: 'x'.repeat(1048576 - 8) });
    assert.equal(body.length, 1048576);
    for (const bytes of [head([line, 'Host: h', 'Connection: close']), head(['GET /api/api.test HTTP/1.1', 'Host: h', ...fields, 'Connection: close']),
      Buffer.concat([post('chat.postMessage', token, body, { Connection: 'close' })])]) {
      const got = answers((await raw(parley.port, bytes)).text);
      assert.equal(got[0]?.status, 200, got[0]?.body?.slice(0, 200));
    }
  });

  test('chunked bodies, extensions and trailers within bounds are read, byte by byte too', async () => {
    const text = 'chunk by chunk é';
    const json = Buffer.from(JSON.stringify({ channel, text }));
    const chunks = [...json].map((c) => Buffer.concat([Buffer.from('1;x=y\r\n'), Buffer.from([c]), Buffer.from(CRLF)]));
    const request = Buffer.concat([Buffer.from(head(['POST /api/chat.postMessage HTTP/1.1', 'Host: h', `Authorization: Bearer ${token}`,
      'Content-Type: application/json', 'Transfer-Encoding: Chunked', 'Connection: close'])), ...chunks.slice(0, 50), Buffer.from(`${(json.length - 50).toString(16).toUpperCase()}\r\n`), json.subarray(50), Buffer.from('\r\n0\r\nX-Trailer: y\r\n\r\n')]);
    const s = net.connect(parley.port, '127.0.0.1').setNoDelay(true);
    const parts = [];
    s.on('data', (d) => parts.push(d));
    for (let i = 0; i < request.length; i += 7) {
      s.write(request.subarray(i, i + 7));
      if (i % 70 === 0) await new Promise(setImmediate);
    }
    await once(s, 'end');
    s.destroy();
    const [a] = answers(Buffer.concat(parts).toString('latin1'));
    assert.equal(a.json.message.text, text);
  });

  test('pipelined requests are answered in order, fast ones behind slow ones too', async () => {
    const n = 100; // far over pipeline_max: the rest waits unread
    const parts = [];
    for (let i = 0; i < n; i++) {
      parts.push(i % 5 === 0 ? post('chat.postMessage', token, JSON.stringify({ channel, text: `pipe ${i}` }))
        : post('api.test', null, JSON.stringify({ i: String(i) })));
    }
    const r = await raw(parley.port, Buffer.concat(parts), { ms: 10000 * slow, until: { test: (t) => answers(t).length === n } });
    const got = answers(r.text);
    assert.equal(got.length, n);
    got.forEach((a, i) => assert.equal(i % 5 === 0 ? a.json.message?.text : a.json.args?.i, i % 5 === 0 ? `pipe ${i}` : String(i)));
    const own = (await history(parley, token, channel)).filter((m) => m.text.startsWith('pipe')).map((m) => Number(m.text.slice(5))).reverse();
    assert.deepEqual(own, [...own].sort((a, b) => a - b));
    assert.equal(own.length, n / 5);
  });

  test('Expect: 100 only while the request is acceptable', async () => {
    const body = JSON.stringify({ channel, text: 'expected' });
    const ask = (auth, length, extra = []) => head(['POST /api/chat.postMessage HTTP/1.1', 'Host: h', `Authorization: Bearer ${auth}`, 'Content-Type: application/json',
      `Content-Length: ${length}`, 'Expect: 100-continue', ...extra]);
    const first = await raw(parley.port, ask(token, body.length), { until: /100 Continue\r\n\r\n/, keep: true });
    assert.equal(answers(first.text)[0].status, 100);
    const parts = [];
    first.socket.removeAllListeners('data').on('data', (d) => parts.push(d));
    first.socket.write(body);
    const got = await eventually(() => answers(Buffer.concat(parts).toString('latin1'))[0], 'answer after 100');
    assert.equal(got.json.message.text, 'expected');
    first.socket.destroy();
    const refused = await raw(parley.port, ask('xoxp-1-1-1-bad', body.length), { until: /invalid_auth/ });
    assert.deepEqual(answers(refused.text).map((a) => [a.status, a.json?.error]), [[200, 'invalid_auth']]);
    const old = await raw(parley.port, `POST /api/api.test HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}`);
    assert.deepEqual(answers(old.text).map((a) => a.status), [200]); // RFC 9110 10.1.1: an HTTP/1.0 client gets no 100
  });

  test('HTTP/1.0, keep-alive and close', async () => {
    const one = await raw(parley.port, 'GET /api/api.test HTTP/1.0\r\n\r\n');
    assert.ok(one.closed);
    assert.equal(answers(one.text)[0].status, 200);
    const two = await raw(parley.port, 'GET /api/api.test HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'.repeat(2), { until: { test: (t) => answers(t).length === 2 } });
    assert.equal(answers(two.text).length, 2);
    const three = await raw(parley.port, `${head(['GET /api/api.test HTTP/1.1', 'Host: h', 'Connection: close'])}${smuggled('close')}`);
    assert.ok(three.closed);
    assert.equal(answers(three.text).length, 1);
    const empty = await raw(parley.port, `\r\n\r\n${head(['GET /api/api.test HTTP/1.1', 'Host: h', 'Connection: close'])}`);
    assert.equal(answers(empty.text)[0].status, 200);
    const texts = (await history(parley, token, channel)).map((m) => m.text);
    assert.ok(!texts.includes('smuggled close'));
  });

  test('paths and methods: 404, 405 with Allow, HEAD, unknown methods of the API', async () => {
    const ask = async (line, ...lines) => answers((await raw(parley.port, head([`${line} HTTP/1.1`, 'Host: h', ...lines, 'Connection: close']))).text)[0];
    for (const path of ['/', '/api', '/apifoo', '/favicon.ico', '/api/../secret.key', '/%2e%2e/secret.key']) {
      const a = await ask(`GET ${path}`);
      assert.ok(a.status === 404 || (path.startsWith('/api') && a.json.error === 'unknown_method'), `${path}: ${a.status}`);
    }
    const unknown = await ask('POST /api/no.such.method', 'Content-Length: 0');
    assert.deepEqual([unknown.status, unknown.json.error], [200, 'unknown_method']);
    for (const method of ['PUT', 'DELETE', 'PATCH', 'TRACE', 'FOO']) {
      const a = await ask(`${method} /api/api.test`, 'Content-Length: 0');
      assert.equal(a.status, 405, method);
      assert.match(a.headers.allow, /GET.*POST|POST.*GET/);
    }
    const r = await raw(parley.port, head(['HEAD /api/api.test HTTP/1.1', 'Host: h', 'Connection: close']));
    assert.match(r.text, /^HTTP\/1\.1 (200|405) /);
    assert.match(r.text, /\r\n\r\n$/, 'HEAD has no body');
    const absolute = await ask(`GET http://h/api/api.test?x=1`);
    assert.equal(absolute.json.args.x, '1');
  });

  test('a body of an unknown type is refused', async () => {
    for (const type of ['application/xml', 'text/plain', 'application/octet-stream', 'multipart/mixed; boundary=x']) {
      for (const [mode, status] of [['slack', 200], ['http', 415]]) {
        const [a] = answers((await raw(parley.port, post('chat.postMessage', token, '<a/>', { 'Content-Type': type, Connection: 'close', 'X-Parley-Errors': mode }))).text);
        assert.deepEqual([a.status, a.json.error], [status, 'invalid_post_type'], type);
      }
    }
    const [c] = answers((await raw(parley.port, post('chat.postMessage', token, '{}', { 'Content-Type': 'application/json; charset=latin1', Connection: 'close' }))).text);
    assert.equal(c.json.error, 'invalid_charset');
  });
});

describe('HTTP deadlines', at('http'), () => {
  let parley, demo, token, channel;
  before(async () => {
    parley = await Parley.start({
      settings: { 'http.head_timeout_ms': 300, 'http.body_timeout_ms': 300, 'http.idle_timeout_ms': 500, 'http.write_timeout_ms': 500 },
    });
    demo = parley.demo();
    token = demo.users[0].token;
    channel = demo.channels.random.id;
  });
  after(() => parley.stop());

  // Sends `bytes`, then one byte each 40 ms: progress must not move the deadline.
  async function trickle(bytes) {
    const s = net.connect(parley.port, '127.0.0.1');
    const parts = [];
    const from = Date.now();
    s.on('data', (d) => parts.push(d)).on('error', () => {});
    s.write(bytes);
    const timer = setInterval(() => { if (!s.destroyed) s.write('a'); }, 40);
    await closed(s);
    clearInterval(timer);
    return { ms: Date.now() - from, got: answers(Buffer.concat(parts).toString('latin1')) };
  }

  test('a slow head: 408 at its deadline however often a byte comes', async () => {
    const r = await trickle('GET /api/api.test HTTP/1.1\r\nHost: h\r\nX: ');
    assert.equal(r.got[0]?.status, 408);
    assert.equal(r.got[0].json.error, 'request_timeout');
    assert.ok(r.ms >= 250 && r.ms < 300 + 1500 * slow, `${r.ms} ms`);
  });

  test('a slow body: 408 at its deadline, nothing stored', async () => {
    const r = await trickle(`POST /api/chat.postMessage HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nchannel=${channel}&text=slow`);
    assert.equal(r.got[0]?.status, 408);
    assert.ok(r.ms >= 250 && r.ms < 300 + 1500 * slow, `${r.ms} ms`);
    assert.ok(!(await history(parley, token, channel)).some((m) => m.text.startsWith('slow')));
  });

  test('an idle connection is closed without a word', async () => {
    const silent = await raw(parley.port, [], { ms: 5000 * slow });
    assert.deepEqual([silent.closed, silent.text], [true, '']);
    const from = Date.now();
    const used = await raw(parley.port, post('api.test', null, '{}'), { ms: 5000 * slow });
    assert.ok(used.closed);
    assert.equal(answers(used.text).length, 1);
    assert.ok(Date.now() - from >= 450);
  });

  test('a reader that takes nothing is cut off and holds nothing', async () => {
    const text = 'x'.repeat(39000);
    for (let i = 0; i < 30; i++) assert.ok((await parley.call('chat.postMessage', token, { channel, text })).ok);
    const before = (await parley.metrics()).parley_conns_open;
    const s = net.connect(parley.port, '127.0.0.1');
    s.on('error', () => {});
    s.pause();
    const ask = `GET /api/conversations.history?channel=${channel}&limit=30 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\n\r\n`;
    s.write(ask.repeat(16)); // 18 MB to come
    await parley.metric('parley_conns_open', (n) => n > before, 'the reader is connected');
    await parley.metric('parley_conns_open', (n) => n <= before, 'the reader is cut off');
    s.destroy();
  });
});

describe('slow clients', at('http'), () => {
  test('200 of them do not slow another down', async () => {
    const parley = await Parley.start();
    const demo = parley.demo();
    const [{ token }] = demo.users;
    const channel = demo.channels.random.id;
    const measure = async () => {
      const ms = [];
      for (let i = 0; i < some(200); i++) {
        const from = performance.now();
        const r = await parley.call('chat.postMessage', token, { channel, text: `fast ${i}` });
        assert.ok(r.ok, r.error);
        ms.push(performance.now() - from);
      }
      return percentile(ms, 0.99);
    };
    await measure();
    const calm = await measure();
    const sockets = Array.from({ length: 200 }, (_, i) => {
      const s = net.connect(parley.port, '127.0.0.1').on('error', () => {});
      s.write(i % 2 ? 'GET /api/api.test HTTP/1.1\r\nX: ' : `POST /api/api.test HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\nContent-Type: application/json\r\n\r\n{`);
      return s;
    });
    const timer = setInterval(() => sockets.forEach((s) => s.write('a')), 50);
    await parley.metric('parley_conns_open', (n) => n >= 200);
    const busy = await measure();
    clearInterval(timer);
    sockets.forEach((s) => s.destroy());
    assert.ok(busy < Math.max(4 * calm, 100 * slow), `p99 ${busy} ms, calm ${calm} ms`);
    await parley.stop();
  });
});
