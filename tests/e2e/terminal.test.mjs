// Two clients for the terminal that have their server's address in their code. localslackirc of Debian runs as it is, but for
// that address (tests/clients/localslackirc.py), and we are its IRC client; what wee-slack sends is replayed, and its answers
// must have what wee-slack's code takes from them without asking.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import net from 'node:net';
import { Parley, at, closed, eventually, freePort, history, slow, sleep } from './harness.mjs';
import { Ws, OP, frame } from './ws.mjs';

const wrapper = fileURLToPath(new URL('../clients/localslackirc.py', import.meta.url));
const python = '/usr/bin/python3'; // Debian's, which has the packages; without emoji, which is only recommended, localslackirc 1.17 dies of any text
const have = existsSync('/usr/share/localslackirc/irc.py') && spawnSync(python, ['-c', 'import emoji, typedload, websockets']).status === 0;

// An IRC client: lines in, lines out.
class Irc {
  static async connect(port) {
    const irc = new Irc();
    irc.lines = [];
    irc.socket = await eventually(() => new Promise((resolve) => {
      const s = net.connect(port, '127.0.0.1');
      s.on('connect', () => resolve(s)).on('error', () => resolve(undefined));
    }), 'localslackirc listens');
    let rest = '';
    irc.socket.setEncoding('utf8').on('data', (d) => {
      const parts = (rest + d).split('\r\n');
      rest = parts.pop();
      irc.lines.push(...parts);
    });
    return irc;
  }

  say(...lines) { this.socket.write(lines.map((l) => `${l}\r\n`).join('')); }
  hear(pattern) {
    return eventually(() => this.lines.find((l) => pattern.test(l)), pattern)
      .catch((e) => { throw new Error(`${e.message}; heard ${this.lines.slice(-12).join('\n')}`); });
  }
}

describe('localslackirc', have ? at('terminal') : { skip: 'localslackirc is not installed' }, () => {
  let parley, demo, dir, port, child, log, ada, grace, random;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'parley-irc-'));
    chmodSync(dir, 0o777); // as root it becomes nobody
    parley = new Parley();
    parley.port = await freePort();
    parley.settings['server.public_url'] = parley.url; // its Host header has no port
    await parley.up();
    demo = parley.demo();
    [ada, grace] = demo.users;
    random = demo.channels.random.id;
  });
  after(async () => {
    child?.kill();
    await parley?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function start() {
    port = await freePort();
    log = '';
    child = spawn(python, [wrapper], { stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: '1', PARLEY_API: parley.api, TOKEN: ada.token, PORT: String(port), AUTOJOIN: 'true', STATUS_FILE: join(dir, 'status'), DOWNLOADS_DIRECTORY: dir } });
    for (const s of [child.stdout, child.stderr]) s.setEncoding('utf8').on('data', (d) => { log += d; });
    const irc = await Irc.connect(port);
    irc.say('NICK ada', 'USER ada 8 * :Ada');
    await irc.hear(/ JOIN #random$/);
    await irc.hear(/ 366 .*#random/);
    return irc;
  }
  const post = async (text, more = {}) => {
    const r = await parley.call('chat.postMessage', grace.token, { channel: random, text, ...more });
    assert.ok(r.ok, r.error);
    return r.ts;
  };

  const tell = async (session) => {
    try { await session(); } catch (e) { throw new Error(`${e.message}\n${log.slice(-3000)}`, { cause: e }); }
  };

  test('a session: channels, users, talk, edits, threads, files, what was missed', { timeout: 60000 * slow }, () => tell(async () => {
    await parley.call('conversations.setTopic', grace.token, { channel: random, topic: 'of this & that' });
    let irc = await start();
    await irc.hear(/ 002 .*team domain is: demo$/);
    await irc.hear(/ 332 .*#random :of this & that$/);
    const names = await irc.hear(/ 353 .*= #random /);
    assert.deepEqual(names.replace(/^.* :/, '').split(' ').map((n) => n.replace('@', '')).sort(), ['ada', 'grace', 'linus', 'parrot']);

    await parley.metric('parley_ws_open', (n) => n === 1);
    const first = await post('hello & <@' + ada.id + '>');
    await irc.hear(/^:grace!.* PRIVMSG #random :hello & ada$/);
    irc.say('PRIVMSG #random :bonjour é & <b> grace');
    const said = await eventually(async () => (await history(parley, ada.token, random, {})).find((m) => m.user === ada.id && m.text.startsWith('bonjour')), 'what was said');
    assert.match(said.text, /^bonjour é &amp; &lt;b&gt; <@U\w+>$/);
    irc.say('PRIVMSG #random :\x01ACTION waves\x01');
    await eventually(async () => (await history(parley, ada.token, random)).some((m) => m.subtype === 'me_message' && m.text === 'waves'), 'what was done');
    const dm = (await parley.call('conversations.open', ada.token, { users: grace.id })).channel.id; // by itself it calls im.open, which Slack has retired
    irc.say('PRIVMSG grace :psst');
    await eventually(async () => (await history(parley, grace.token, dm)).some((m) => m.text === 'psst'), 'what was said to one');

    await parley.call('chat.update', grace.token, { channel: random, ts: first, text: 'hullo' });
    await irc.hear(/^:grace!.* PRIVMSG #random :s\//);
    await parley.call('chat.delete', grace.token, { channel: random, ts: first });
    await irc.hear(/PRIVMSG #random :\[deleted\] hullo$/);
    const parent = await post('a thread');
    await post('below', { thread_ts: parent });
    await irc.hear(/^:grace!.* PRIVMSG #t-\S+ :below$/);
    await parley.call('chat.postMessage', grace.token, { channel: dm, text: 'for your eyes' });
    await irc.hear(/^:grace!.* PRIVMSG ada :for your eyes$/);

    const made = (await parley.call('conversations.create', grace.token, { name: 'irc-made' })).channel.id;
    irc.say('LIST');
    await irc.hear(/ 322 .*#irc-made/);
    irc.say('JOIN #irc-made');
    await irc.hear(/ JOIN #irc-made$/);
    assert.ok((await parley.call('conversations.members', grace.token, { channel: made })).members.includes(ada.id));
    irc.say('TOPIC #irc-made :by irc', 'INVITE linus #irc-made');
    await eventually(async () => {
      const { channel } = await parley.call('conversations.info', grace.token, { channel: made, include_num_members: true });
      return channel.topic.value === 'by irc' && channel.num_members === 3;
    }, 'topic and invitation');
    irc.say('KICK #irc-made linus :bye', 'AWAY :gone'); // ada did not make it
    await irc.hear(/ 306 /);
    await irc.hear(/ 421 .*restricted_action$/);
    assert.equal((await parley.call('users.getPresence', ada.token, {})).manual_away, true);
    irc.say('AWAY');
    await irc.hear(/ 305 /);

    const bytes = Buffer.concat([Buffer.from('--\r\n'), Buffer.from(Array.from({ length: 300000 }, (_, i) => (i * 7) & 255))]);
    writeFileSync(join(dir, 'sent.bin'), bytes);
    irc.say(`sendfile #random ${join(dir, 'sent.bin')}`);
    await irc.hear(/Upload of .* completed/);
    const [shared] = await history(parley, ada.token, random, { limit: 1 });
    const down = await fetch(shared.files[0].url_private, { headers: { Authorization: `Bearer ${grace.token}` } });
    assert.deepEqual(Buffer.from(await down.arrayBuffer()), bytes);

    // It goes, misses something, comes back and fetches it.
    const over = closed(irc.socket);
    irc.say('QUIT');
    irc.socket.end();
    await over;
    await eventually(() => existsSync(join(dir, 'status')), 'its memory');
    child.kill();
    assert.ok(JSON.parse(readFileSync(join(dir, 'status'), 'utf8')).last_timestamp > 0);
    await sleep(10);
    await post('while you were away');
    await parley.call('files.upload', grace.token, { channels: random, content: 'text', filename: 'missed.txt' });
    irc = await start();
    await irc.hear(/^:grace!.* PRIVMSG #random :while you were away$/);
    await irc.hear(/^:grace!.* PRIVMSG #random :\[file upload\] missed.txt$/);
    irc.socket.destroy();
  }));
});

describe('wee-slack', at('terminal'), () => {
  let parley, demo, ada, grace;
  before(async () => {
    parley = await Parley.start();
    demo = parley.demo();
    [ada, grace] = demo.users;
    await parley.call('conversations.open', ada.token, { users: grace.id });
    await parley.call('conversations.open', ada.token, { users: `${grace.id},${demo.users[2].id}` });
    await parley.call('usergroups.create', ada.token, { name: 'Engineers', handle: 'eng' });
  });
  after(() => parley?.stop());

  // SlackRequest.request_string() and .options() of wee-slack 2.9: everything by GET, True and False, an empty query as "?".
  async function get(method, args = {}) {
    const query = new URLSearchParams(Object.entries(args).map(([k, v]) => [k, v === true ? 'True' : v === false ? 'False' : v]));
    const r = await fetch(`${parley.api}${method}?${query}`, { headers: { 'User-Agent': 'wee_slack 2.9.0', Accept: '*/*', Authorization: `Bearer ${ada.token}`, Cookie: 'd=x%2Fy' } });
    assert.equal(r.status, 200, method);
    const a = await r.json();
    assert.equal(a.ok, true, `${method}: ${a.error}`);
    return a;
  }

  test('it starts, hears, speaks, reads', async () => {
    const [channels, groups, members, usergroups, prefs, presence] = await Promise.all([
      get('conversations.list', { exclude_archived: true, types: 'public_channel,private_channel,im', limit: 1000 }),
      get('conversations.list', { exclude_archived: true, types: 'mpim', limit: 1000 }),
      get('users.list', { limit: 1000 }),
      get('usergroups.list', { include_users: true }),
      get('users.prefs.get'),
      get('users.getPresence'),
    ]);
    const connect = await get('rtm.connect', { batch_presence_aware: 1 });
    // create_team(): each of these is taken by name, and its absence is a KeyError.
    const users = new Map(members.members.filter((u) => !u.is_bot).map((u) => [u.id, u]));
    for (const u of members.members) assert.ok(u.id && u.name && u.profile && 'deleted' in u, JSON.stringify(u));
    assert.ok(users.get(connect.self.id).profile && connect.self.name && connect.team.id && connect.team.domain && connect.url);
    for (const c of [...channels.channels, ...groups.channels]) {
      assert.ok(c.id && 'created' in c, JSON.stringify(c));
      if (c.is_im) assert.ok(users.has(c.user), JSON.stringify(c));
      else assert.ok(c.name && typeof c.topic.value === 'string' && typeof c.purpose.value === 'string', JSON.stringify(c));
    }
    assert.deepEqual([channels.channels.some((c) => c.is_im), groups.channels.map((c) => c.is_mpim)], [true, [true]]);
    for (const g of usergroups.usergroups) assert.ok(Array.isArray(g.users) && g.id && g.handle && 'is_usergroup' in g, JSON.stringify(g));
    assert.deepEqual([typeof prefs.prefs.muted_channels, typeof prefs.prefs.highlight_words, presence.manual_away], ['string', 'string', false]);

    // websocket-client sends an Origin of its own making.
    const ws = await Ws.open(connect.url, { headers: { Origin: `http://127.0.0.1:${parley.port}` } });
    await ws.event((e) => e.type === 'hello');
    ws.send({ type: 'presence_sub', ids: [...users.keys()].slice(0, 750), id: 1 });
    const channel = channels.channels.find((c) => c.name === 'random').id;
    await get('conversations.history', { channel, limit: 1 });
    await get('conversations.members', { channel, limit: 1000 });
    await get('conversations.info', { channel });
    await get('emoji.list');
    ws.write(frame(OP.PING)); // each 5 s, and without a pong for 30 s it gives up
    await ws.pong('');
    ws.send({ type: 'message', channel, text: 'from wee-slack', user: ada.id, id: 2 });
    const ack = await ws.event((e) => e.reply_to === 2);
    assert.deepEqual([ack.ok, ack.text], [true, 'from wee-slack']);
    ws.send({ type: 'message', channel, text: 'below', user: ada.id, thread_ts: ack.ts, id: 3 });
    assert.equal((await ws.event((e) => e.reply_to === 3)).ok, true);
    ws.send({ type: 'typing', channel, id: 4 });
    await get('conversations.mark', { channel, ts: ack.ts });
    assert.equal((await ws.event((e) => e.type === 'channel_marked' && e.channel === channel)).ts, ack.ts);
    assert.deepEqual((await get('conversations.replies', { channel, ts: ack.ts, cursor: '' })).messages.map((m) => m.text), ['from wee-slack', 'below']);
    await get('reactions.add', { channel, timestamp: ack.ts, name: 'tada' });
    await get('chat.update', { channel, ts: ack.ts, text: 'edited by s///' });
    await get('conversations.setTopic', { channel, topic: 'é & more' });
    await get('users.prefs.set', { name: 'muted_channels', value: channel });
    await get('users.profile.set', { profile: JSON.stringify({ status_text: 'x', status_emoji: ':tea:' }) });
    await get('users.setPresence', { presence: 'away' });
    assert.deepEqual([(await get('users.prefs.get')).prefs.muted_channels, (await get('users.getPresence')).manual_away], [channel, true]);
    const opened = await get('conversations.open', { users: grace.id, return_im: true });
    assert.equal(opened.channel.user, grace.id);
    await get('conversations.close', { channel: opened.channel.id });
    await get('chat.meMessage', { channel, text: 'waves' });
    await get('chat.delete', { channel, ts: ack.ts });
    assert.equal(ws.broken, undefined);
    ws.destroy();
  });
});
