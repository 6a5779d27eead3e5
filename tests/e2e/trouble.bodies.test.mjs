// What bad bodies and arguments get, and that legal text comes back to the byte.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Parley, raw, answers, post, history, at, slow } from './harness.mjs';
import { rtm } from './ws.mjs';

describe('bodies', at('http'), () => {
  let parley, demo, channel, token;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    channel = demo.channels.random.id;
    token = demo.users[0].token;
  });
  after(() => parley.stop());

  const send = async (method, body, headers = {}) => answers((await raw(parley.port, post(method, token, body, { Connection: 'close', ...headers }))).text)[0];
  const nest = (depth) => '['.repeat(depth) + ']'.repeat(depth);

  test('JSON that is not exactly one object is refused without side effect', async () => {
    const good = `"channel":"${channel}","text":"side effect"`;
    const bad = {
      invalid_json: [
        `{${good}}{}`, `{${good}} x`, `{${good}`, `${good}}`, `{${good},}`, `{${good},"a":NaN}`, `{${good},"a":Infinity}`, `{${good},"a":-}`, `{${good},"a":01}`, `{${good},"a":1e400}`, `{${good},"a":+1}`,
        `{${good},"a":.5}`, `{${good},"a":1.}`, `{${good},"a":"\\ud800"}`, `{${good},"a":"\\udc00\\ud800"}`, `{${good},"\\ud800":1}`, `{${good},"a":"\\u0000"}`,
        `{${good},"a":"x\0y"}`, `\ufeff{${good}}`, Buffer.from(`{${good},"a":"\xff"}`, 'latin1'), Buffer.from(`{${good},"a":"\xc0\xaf"}`, 'latin1'), Buffer.from(`{${good},"a":"\xed\xa0\x80"}`, 'latin1'),
        Buffer.from(`{${good},"a":"\xf4\x90\x80\x80"}`, 'latin1'), `{${good},"a":"x\ny"}`, `{${good},"a":"\\x41"}`, `{${good},"text":"twice"}`, `{${good},"t\\u0065xt":"twice"}`, `{${good},"a":{"b":1,"b":2}}`,
        `{${good},"a":${nest(32)}}`, `{${good}}/* */`, `{'channel':"${channel}"}`, `{${good}\0}`, ' ', '\0', `{${good},"a":tru}`,
      ],
      json_not_object: ['[]', '1', '"x"', 'null', 'true', `[{${good}}]`],
    };
    for (const [error, bodies] of Object.entries(bad)) {
      for (const body of bodies) {
        const a = await send('chat.postMessage', body);
        const shown = `${JSON.stringify(body.toString('latin1').slice(-60))}: ${a?.body}`;
        assert.equal(a?.status, 200, shown);
        assert.equal(a.json.ok, false, shown);
        assert.ok(a.json.error === error || (body === ' ' && a.json.error === 'channel_not_found'), shown);
        const http = await send('chat.postMessage', body, { 'X-Parley-Errors': 'http' });
        assert.equal(http.status, 400, shown);
        assert.equal(http.json.error, a.json.error);
      }
    }
    assert.ok(!(await history(parley, token, channel)).some((m) => m.text.includes('side effect')));
  });

  test('JSON within the rules is read: depth 32, escapes, blanks, big numbers', async () => {
    const bodies = [`{"channel":"${channel}","text":"deep","x":${nest(31)}}`, ` \t\r\n{ "channel" : "${channel}" , "text" : "blank" } \r\n`,
      `{"channel":"${channel}","text":"\\u0065\\ud83c\\udf89\\/\\b\\f\\n\\r\\t\\"\\\\","n":1e300,"m":9223372036854775807}`];
    for (const body of bodies) {
      const a = await send('chat.postMessage', body);
      assert.equal(a.json.ok, true, `${body}: ${a.body}`);
    }
    const [last] = await history(parley, token, channel, { limit: 1 });
    assert.equal(last.text, 'e🎉/\b\f\n\r\t"\\');
  });

  test('hostile bodies are judged in bounded time', async () => {
    for (const body of ['['.repeat(1000000), '{"a":'.repeat(200000), `{${'"a":1,'.repeat(140000)}"b":1}`, `{"a":"${'\\ud83c\\udf89'.repeat(80000)}`, `{"a":${'9'.repeat(1000000)}}`, '"'.repeat(1000000)]) {
      const from = performance.now();
      const a = await send('chat.postMessage', body);
      assert.ok(a.json.ok === false, body.slice(0, 20));
      assert.ok(performance.now() - from < 500 * slow, `${body.slice(0, 20)}: ${performance.now() - from} ms`);
    }
  });

  test('wrong types are invalid_arguments, a ts is a string', async () => {
    const before = (await history(parley, token, channel)).length;
    for (const args of [{ channel, text: { a: 1 } }, { channel, text: ['a'] }, { channel: { id: channel }, text: 'x' }, { channel: [channel], text: 'x' }]) {
      const r = await parley.call('chat.postMessage', token, args);
      assert.equal(r.ok, false, JSON.stringify(args));
      assert.ok(['invalid_arguments', 'channel_not_found'].includes(r.error), `${JSON.stringify(args)}: ${r.error}`);
    }
    for (const [name, error] of [['oldest', 'invalid_ts_oldest'], ['latest', 'invalid_ts_latest']]) {
      const number = answers((await raw(parley.port, post('conversations.history', token, `{"channel":"${channel}","${name}":1700000000.000100}`, { Connection: 'close' }))).text)[0];
      assert.equal(number.json.error, error, number.body);
      for (const bad of ['x', '1700000000.', '-1.000000', '1700000000,000100', ' 1700000000.000100', '17000000000.000100'])
        assert.equal((await parley.call('conversations.history', token, { channel, [name]: bad })).error, error, `${name}=${bad}`);
    }
    for (const limit of [-1, 'x', 1.5, 100000]) assert.equal((await parley.call('conversations.history', token, { channel, limit })).error, 'invalid_limit', String(limit));
    for (const cursor of ['x', '!!!!', 'bmV4dF90czow', 'dXNlcjpVMDYxTkZUVDI=', 'a'.repeat(1000)])
      assert.equal((await parley.call('conversations.history', token, { channel, cursor })).error, 'invalid_cursor', cursor);
    assert.equal((await history(parley, token, channel)).length, before);
  });

  test('urlencoded bodies: broken ones are invalid_form_data', async () => {
    const good = `channel=${channel}&text=side+effect`;
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    for (const body of [`${good}&a=%zz`, `${good}&a=%4`, `${good}&a=%`, `${good}&a=%00`, `${good}&a=%ff`, `${good}&%ff=a`, `${good}&a=%ed%a0%80`, Buffer.from(`${good}&a=\xff`, 'latin1'), `${good}&${'a=b&'.repeat(300)}`]) {
      const a = await send('chat.postMessage', body, form);
      assert.equal(a.json.error, 'invalid_form_data', `${body.toString('latin1').slice(-40)}: ${a.body}`);
      assert.equal(a.status, 200);
      assert.equal((await send('chat.postMessage', body, { ...form, 'X-Parley-Errors': 'http' })).status, 400);
    }
    const [query] = answers((await raw(parley.port, `GET /api/chat.postMessage?${good}&a=%zz HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`)).text);
    assert.equal(query.json.error, 'invalid_form_data');
    assert.ok(!(await history(parley, token, channel)).some((m) => m.text === 'side effect'));
    for (const body of [`&&${good.replace('side', 'in')}&&x&=y&a=&`, `channel=${channel}&text=%e2%82%ac+%2B%26`])
      assert.equal((await send('chat.postMessage', body, form)).json.ok, true, body);
    assert.equal((await history(parley, token, channel, { limit: 1 }))[0].text, '€ +&amp;');
  });

  test('multipart bodies: broken ones are invalid_form_data, never a hang', async () => {
    const part = (name, value, more = '') => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n${more}\r\n${value}\r\n`;
    const good = part('channel', channel) + part('text', 'side effect');
    const type = { 'Content-Type': 'multipart/form-data; boundary=b' };
    const bad = [
      [good + part('a', 'b') + '--b--', { 'Content-Type': 'multipart/form-data' }],
      [good + part('a', 'b') + '--b--', { 'Content-Type': 'multipart/form-data; boundary=' }],
      [good + part('a', 'b') + '--b--', { 'Content-Type': `multipart/form-data; boundary=${'c'.repeat(100)}` }],
      [good + part('a', 'b') + '--b--', { 'Content-Type': 'multipart/form-data; boundary=other' }],
      [`${good}--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nno end`, type],
      [`${good}--b\r\nContent-Disposition: form-data; name="a"`, type],
      [`${good}--b\r\n\r\nno name\r\n--b--`, type],
      [`${good}--b\r\nContent-Disposition: form-data; name="a\r\n\r\nx\r\n--b--`, type],
      [Buffer.concat([Buffer.from(good), Buffer.from('--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--b--', 'latin1')]), type],
      [`${good}${part('a', 'x\0y')}--b--`, type],
      [`${good}${part('a', 'b').repeat(300)}--b--`, type],
      [`${good}${part('a', 'b', 'X: y\r\n'.repeat(100))}--b--`, type],
      ['no boundary at all', type],
      ['', type],
    ];
    for (const [body, headers] of bad) {
      const a = await send('chat.postMessage', body, headers);
      assert.equal(a?.json?.error, body.length === 0 ? a?.json?.error : 'invalid_form_data', `${JSON.stringify(body.toString('latin1').slice(-80))}: ${a?.body}`);
      assert.equal(a.json.ok, false);
    }
    assert.ok(!(await history(parley, token, channel)).some((m) => m.text === 'side effect'));
    for (const end of ['--b--\r\n', '--b--', '--b\r\n', '--b']) {
      const a = await send('chat.postMessage', `${part('channel', channel)}${part('text', 'ends oddly')}${end}`, type);
      assert.equal(a.json.ok, true, `${JSON.stringify(end)}: ${a.body}`);
    }
  });

  test('legal text comes back to the byte: answer, event, history', async () => {
    const ws = await rtm(parley, demo.users[1].token);
    const planes = Array.from({ length: 17 }, (_, p) => String.fromCodePoint(p * 0x10000 + (p === 0 ? 0x20ac : 0x41), p * 0x10000 + 0xfffd)).join('');
    const every = (from, to) => { let s = ''; for (let c = from; c < to; c++) if (c < 0xd800 || c > 0xdfff) s += String.fromCodePoint(c); return s; };
    const texts = [
      planes, every(0x20, 0x7f).replace(/[&<>]/g, ''), every(0x80, 0x3000), every(0x1f300, 0x1f700), '\u2028\u2029\ufffe\uffff\u0001\u001f\t\n\r\x7f',
      '&amp; &lt; &gt; <@U012ABC> <#C012|general> <!here> <https://x.example/?a=1&amp;b=2|label>', 'e\u0301 \u200d 👩‍👩‍👧‍👦 ﷽', '\\ " / \\u0041 %41 +', '   spaces kept   ', '{"json":"text"}',
      'x'.repeat(40000), '€'.repeat(40000), '🎉'.repeat(16000),
    ];
    for (const text of texts) {
      const r = await parley.call('chat.postMessage', token, { channel, text });
      assert.equal(r.ok, true, `${r.error}: ${JSON.stringify(text.slice(0, 60))}`);
      assert.equal(r.message.text, text);
      const [stored] = await history(parley, token, channel, { limit: 1 });
      assert.deepEqual(stored, r.message);
      const seen = await ws.until(() => ws.events.find((e) => e.ts === r.ts || (e.type === 'refetch' && Buffer.byteLength(text) > 60000)), `event of ${JSON.stringify(text.slice(0, 20))}`);
      if (seen.type === 'message') assert.equal(seen.text, text);
      else ws.events.length = 0; // over 64 KiB: told to read history, where it was just read
    }
    const form = new URLSearchParams({ channel, text: planes });
    const r = await (await fetch(`${parley.api}chat.postMessage`, { method: 'POST', body: form, headers: { Authorization: `Bearer ${token}` } })).json();
    assert.equal(r.message.text, planes);
    const data = new FormData();
    data.set('channel', channel);
    data.set('text', planes);
    const m = await (await fetch(`${parley.api}chat.postMessage`, { method: 'POST', body: data, headers: { Authorization: `Bearer ${token}` } })).json();
    assert.equal(m.message.text, planes);
    await ws.bye();
    assert.equal(ws.broken, undefined);
  });

  test('stray <, > and & become entities; what is escaped stays', async () => {
    for (const [text, want] of [['a & b < c > d', 'a &amp; b &lt; c &gt; d'], ['&amp; & &lt;', '&amp; &amp; &lt;'], ['<script>', '&lt;script&gt;'], ['<@U012ABC> <', '<@U012ABC> &lt;'], ['&copy;', '&amp;copy;']]) {
      const r = await parley.call('chat.postMessage', token, { channel, text });
      assert.equal(r.message.text, want);
    }
  });

  test('over 40,000 characters: msg_too_long; no content: no_text', async () => {
    for (const text of ['x'.repeat(40001), '€'.repeat(40001)]) assert.equal((await parley.call('chat.postMessage', token, { channel, text })).error, 'msg_too_long');
    for (const args of [{ channel }, { channel, text: '' }]) assert.equal((await parley.call('chat.postMessage', token, args)).error, 'no_text');
    for (const blocks of ['x', '{}', '[1]', [1], { a: 1 }]) assert.equal((await parley.call('chat.postMessage', token, { channel, blocks })).error, 'invalid_blocks', JSON.stringify(blocks));
    assert.equal((await parley.call('chat.postMessage', token, { channel, attachments: '[' })).error, 'invalid_attachments');
    for (const client_msg_id of ['', 'k'.repeat(256)]) {
      const r = await parley.call('chat.postMessage', token, { channel, text: 'k', client_msg_id });
      assert.ok(r.error === 'invalid_client_msg_id' || (client_msg_id === '' && r.ok), r.error);
    }
    const blocks = [{ type: 'section', text: { type: 'mrkdwn', text: 'b' } }];
    assert.deepEqual((await parley.call('chat.postMessage', token, { channel, blocks })).message.blocks, blocks);
    assert.deepEqual((await parley.call('chat.postMessage', token, { channel, blocks: JSON.stringify(blocks) })).message.blocks, blocks);
    const thread = await parley.call('chat.postMessage', token, { channel, text: 'reply', thread_ts: '1700000000.000100' });
    assert.equal(thread.error, 'cannot_reply_to_message');
  });
});
