// workspace.mjs - the daemon's own table of methods with the errors that each may answer, names that are not served, and for each of them a call that succeeds: a workspace that is made
// ready for it, and its arguments. A method of which nothing is known here fails the tests that go through all.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bin, eventually } from './harness.mjs';

export const { methods, absent } = JSON.parse(execFileSync(join(bin, 'parley-docgen'), ['--methods'], { encoding: 'utf8' }));
export const text = 'é & "q" + % 🎉';
const blocks = [{ type: 'section', text: { type: 'mrkdwn', text: '*b* & "q"' } }, { type: 'divider' }];
const attachments = [{ color: '#36a64f', text: 'a, b', fields: [{ title: 't', value: 'v', short: true }] }];
const metadata = { event_type: 'deploy', event_payload: { id: 7, list: ['a', 'b'] } };

// What an optional argument gets, by its type; those that are not here stay away, or a method's own line says what.
const optional = { BOOL: true, INT: 1, OBJECT: metadata };
const byName = { limit: 50, count: 50, blocks, attachments };

export class Workspace {
  static made = 0;

  // People: ada, who administers it, grace, linus, and a bot; ada and grace are in each channel that is made.
  constructor(parley) {
    this.parley = parley;
    this.domain = `w${++Workspace.made}`;
    this.n = 0;
    parley.ctl('workspace', 'add', this.domain);
    for (const [name, ...more] of [['ada', '--admin', '--email', 'ada@example.com'], ['grace', '--email', 'grace@example.com'], ['linus'], ['parrot', '--bot']]) this.ctl('user', 'add', name, ...more);
    this.users = Object.fromEntries(this.ctlJson('user', 'list').users.map((u) => [u.name, u.id]));
    this.password = 'difference engine';
    assert.equal(spawnSync(join(bin, 'parleyctl'), ['--data', parley.data, '--workspace', this.domain, 'user', 'password', 'ada'], { input: `${this.password}\n` }).status, 0);
    this.token = this.issue('ada');
    this.grace = this.issue('grace');
  }

  ctl(...words) { return this.parley.ctl('--workspace', this.domain, ...words); }
  ctlJson(...words) { return this.parley.ctlJson('--workspace', this.domain, ...words); }
  issue(user) { return this.ctlJson('token', 'issue', user).token; }

  async call(method, args, token = this.token) {
    const r = await this.parley.call(method, token, args);
    assert.ok(r.ok, `${method} ${JSON.stringify(args)}: ${r.error}`);
    return r;
  }

  unique(what) { return `${what}-${++this.n}`; }

  async channel(owner = this.token) {
    const { channel } = await this.call('conversations.create', { name: this.unique('room') }, owner);
    return channel.id;
  }

  async file() {
    return (await this.call('files.upload', { content: 'x', filename: 'x.txt', channels: this.room })).file.id;
  }

  // A channel of its own for the next call, with a message and a reply.
  async ready() {
    this.room = await this.channel();
    await this.call('conversations.invite', { channel: this.room, users: this.users.grace });
    this.ts = (await this.call('chat.postMessage', { channel: this.room, text: 'first' })).ts;
    await this.call('chat.postMessage', { channel: this.room, text: 'reply', thread_ts: this.ts });
  }

  // Arguments with which `method` succeeds for ada, optional ones too. bools: what optional booleans are.
  async args(method, bools = true) {
    await this.ready();
    const args = {};
    for (const { name, type, required } of method.args) {
      if (/^CHANNEL/.test(type)) args[name] = this.room;
      else if (type === 'TS') { if (required || name === 'thread_ts' || name === 'timestamp') args[name] = this.ts; else if (/oldest|from/.test(name)) args[name] = '1700000000.000001'; }
      else if (type === 'USER') args[name] = this.users.grace;
      else if (type === 'LIST' && name === 'users') args[name] = [this.users.grace, this.users.linus];
      else if (name in byName) args[name] = byName[name];
      else if (type in optional && !required) args[name] = type === 'BOOL' ? bools : optional[type];
    }
    const own = this.own[method.name];
    Object.assign(args, typeof own === 'function' ? await own() : own);
    for (const { name, required } of method.args) {
      if (args[name] === undefined) delete args[name];
      assert.ok(!required || name in args, `${method.name} needs ${name}: what would do for it?`);
    }
    return args;
  }

  // What goes beyond the types, and what must be there before. undefined: not given.
  own = {
    'api.test': { error: undefined, foo: text },
    'auth.revoke': { test: true },
    'auth.signin': () => ({ team: this.domain, email: 'ada@example.com', password: this.password }),
    'chat.postMessage': { text, client_msg_id: undefined },
    'chat.meMessage': { text },
    'chat.postEphemeral': { text },
    'chat.update': { text, reply_broadcast: undefined, file_ids: undefined },
    'chat.scheduleMessage': () => ({ text: this.unique('later'), post_at: Math.floor(Date.now() / 1000) + 3600 }),
    'chat.deleteScheduledMessage': async () => ({ scheduled_message_id: (await this.call('chat.scheduleMessage', { channel: this.room, text, post_at: Math.floor(Date.now() / 1000) + 7200 })).scheduled_message_id }),
    'conversations.create': () => ({ name: this.unique('made') }),
    'conversations.rename': () => ({ name: this.unique('renamed') }),
    'conversations.setTopic': { topic: text },
    'conversations.setPurpose': { purpose: text },
    'conversations.join': async () => ({ channel: await this.channel(this.grace) }),
    'conversations.invite': () => ({ users: [this.users.linus] }),
    'conversations.open': { channel: undefined, prevent_creation: false },
    'conversations.close': async () => ({ channel: (await this.call('conversations.open', { users: this.users.grace })).channel.id }),
    'conversations.unarchive': async () => { await this.call('conversations.archive', { channel: this.room }); },
    'conversations.list': { types: 'public_channel,private_channel,im,mpim' },
    'users.conversations': { types: 'public_channel,private_channel' },
    'users.prefs.set': () => ({ name: this.unique('pref').replace('-', '_'), value: text }),
    'users.setPresence': { presence: 'auto' },
    'users.lookupByEmail': { email: 'grace@example.com' },
    'users.profile.set': { user: undefined, profile: { title: text, status_text: 'x' } },
    'bots.info': async () => ({ bot: (await this.call('auth.test', {}, this.issue('parrot'))).bot_id }),
    'dnd.setSnooze': { num_minutes: 5 },
    'dnd.endDnd': async () => { await this.call('dnd.setSnooze', { num_minutes: 5 }); },
    'stars.remove': async () => { await this.call('stars.add', { channel: this.room, timestamp: this.ts }); },
    'bookmarks.add': { title: text, type: 'link', link: 'https://example.com/?a=1&b=2' },
    'bookmarks.edit': async () => ({ bookmark_id: await this.bookmark(), title: text }),
    'bookmarks.remove': async () => ({ bookmark_id: await this.bookmark() }),
    'usergroups.create': () => ({ name: this.unique('group'), description: text }),
    'usergroups.update': async () => ({ usergroup: await this.group(), description: text }),
    'usergroups.enable': async () => {
      const usergroup = await this.group();
      await this.call('usergroups.disable', { usergroup });
      return { usergroup };
    },
    'usergroups.disable': async () => ({ usergroup: await this.group() }),
    'usergroups.users.list': async () => ({ usergroup: await this.group() }),
    'usergroups.users.update': async () => ({ usergroup: await this.group() }),
    'admin.emoji.add': () => ({ name: this.unique('emoji'), url: 'https://example.com/x.png?a=1&b=2' }),
    'admin.emoji.addAlias': async () => ({ name: this.unique('alias'), alias_for: await this.emoji() }),
    'admin.emoji.remove': async () => ({ name: await this.emoji() }),
    'reminders.add': { text, time: '86400', user: undefined },
    'reminders.info': async () => ({ reminder: await this.reminder() }),
    'reminders.complete': async () => ({ reminder: await this.reminder() }),
    'reminders.delete': async () => ({ reminder: await this.reminder() }),
    'files.getUploadURLExternal': { filename: `${text}.txt`, length: 3 },
    'files.completeUploadExternal': async () => {
      const { upload_url, file_id } = await this.call('files.getUploadURLExternal', { filename: 'x.txt', length: 3 });
      assert.equal((await fetch(upload_url, { method: 'POST', body: 'abc' })).status, 200);
      return { files: [{ id: file_id, title: text }], initial_comment: text, thread_ts: undefined };
    },
    'files.upload': () => ({ channels: `${this.room},${this.room}`, content: text, filename: 'x.txt', title: text, thread_ts: undefined }),
    'files.list': { user: undefined, page: 1 },
    'files.info': async () => ({ file: await this.file() }),
    'files.delete': async () => ({ file: await this.file() }),
    'files.sharedPublicURL': async () => ({ file: await this.file() }),
    'files.revokePublicURL': async () => {
      const file = await this.file();
      await this.call('files.sharedPublicURL', { file });
      return { file };
    },
    'reactions.add': { name: 'tada' },
    'reactions.remove': async () => {
      await this.call('reactions.add', { channel: this.room, timestamp: this.ts, name: 'tada' });
      return { name: 'tada' };
    },
    'pins.remove': async () => { await this.call('pins.add', { channel: this.room, timestamp: this.ts }); },
    'reactions.list': async () => {
      await this.call('reactions.add', { channel: this.room, timestamp: this.ts, name: 'tada' });
      return { user: undefined, count: undefined, page: undefined };
    },
    'search.messages': async () => ({ query: await this.found() }),
    'search.files': async () => { await this.file(); return { query: `x in:${this.room}` }; },
    'search.all': async () => { await this.file(); return { query: await this.found() }; },
  };

  // A query that finds one message: the index follows within a second.
  async found() {
    const query = `first in:<#${this.room}>`;
    await eventually(async () => (await this.call('search.messages', { query })).messages.total === 1, 'the index has it');
    return query;
  }

  async bookmark() { return (await this.call('bookmarks.add', { channel_id: this.room, title: 'x', type: 'link', link: 'https://example.com/' })).bookmark.id; }
  async group() { return (await this.call('usergroups.create', { name: this.unique('group') })).usergroup.id; }
  async reminder() { return (await this.call('reminders.add', { text: 'x', time: '3600' })).reminder.id; }

  async emoji() {
    const name = this.unique('emoji');
    await this.call('admin.emoji.add', { name, url: 'https://example.com/x.png' });
    return name;
  }
}
