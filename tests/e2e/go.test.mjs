// slack-go as Debian packages it (golang-github-slack-go-slack-dev), unmodified but for the base URL: tests/clients/go
// runs through its calls and prints a line for each step, which is compared here.
import { describe, test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parley, at, slow } from './harness.mjs';

const source = fileURLToPath(new URL('../clients/slack-go/', import.meta.url));
const packages = '/usr/share/gocode'; // where Debian's Go packages are

const expected = `auth.test: ada Demo true parrot true
team.info: Demo demo true
users.list, by pages of two: ada,grace,linus,parrot,root
users.info: grace Grace Hopper grace@example.com false false true
users.lookupByEmail: grace users_not_found
users.identity: ada Ada Lovelace true
bots.info: Parrot parrot true
conversations.create: go-room go-room false ada true true name_taken invalid_name_specials
conversations.list, by pages of one: general,go-room,go-secret,random
conversations.invite: room already_in_channel cant_invite_self
conversations.join: room true true already_in_channel already_in_channel
conversations.members: 3 true ada,grace,linus,parrot true
conversations.setTopic and setPurpose: Go & C grace to be tested
conversations.info: go-room true true Go & C to be tested true
conversations.kick: not_in_channel cant_kick_self
conversations.leave: false true
conversations.rename: go-hall name_taken
conversations.archive and unarchive: true already_archived is_archived not_archived
users.conversations: general,go-hall,random true
conversations.open, two: true grace false false true true true
conversations.open, three: true true user_not_found
conversations.close: false false true
chat.postMessage: room true R&amp;D &lt;ünï&gt; 🎉 ada true message
chat.postMessage with blocks, attachments, metadata: 2 *bold* & "quoted" attached v task_created 7 true parrot
chat.postMessage under another name: bot_message Deploy true
chat.update: room true second second ada cant_update_message
chat.delete: room true second message_not_found
chat.postEphemeral: true second user_not_in_channel
chat.meMessage: true me_message waves
chat.getPermalink: true message_not_found
chat.scheduleMessage: room time_in_past 1 later room true true true 0
a thread: parent|reply|reply to all false 2 true ada true thread_broadcast
conversations.replies, by pages of one: reply|reply to all
conversations.history, by pages of two: true true parent
conversations.mark: true 0 true
reactions: 2 thumbsup 2 ada,grace already_reacted 1 no_reaction
pins: 1 to be marked room room already_pinned no_pin
stars: 1 message to be marked 1 1 already_starred 0 not_starred
bookmarks: Go https://go.dev/ :hamster: link room true Golang true 1 https://go.dev/doc/ not_found
reminders: drink ada false 1 true cannot_parse not_found
search.messages: a [platypus] swims ada ada room go-hall true 2 1 no platypus here
users.profile: Ada King Ada King Countess & more :crown: true true
users.presence: away true false 0
users.prefs: true true true
dnd: true true 2 true false true false not_in_dnd
usergroups.create: Engineers eng who build true room name_already_exists
usergroups.update: Builders build true 0
usergroups.users: ada,grace ada,grace
usergroups.list: 1 ada,grace 2 true 0 1 true
emoji.list: 1 https://example.com/parrot.png
files.upload, a file of the disk: zeichnung ü.png A picture image/png true hosted ada random,room look true true 400 300
files.upload, a reader: a.txt 5 text/plain 0 false
files.upload, content into a thread: main.go snippet go 2 true package main // & "that" = +%
files.info: A picture png 1 true 0 0 file_not_found
download: true true slack server error: 403 Forbidden
files.list: 3 3 1 true a.txt 2
files.list, by pages of two: main.go,a.txt,zeichnung ü.png 2
files.sharedPublicURL and revokePublicURL: true true false slack server error: 404 Not Found
files.delete: cant_delete_file file_deleted file_deleted
rtm.connect: grace grace demo false
rtm.start: ada Demo true
a message is heard: to the socket room ada
a message is said: true from the socket from the socket below it true thread_broadcast
a message is refused: Code 404 - channel_not_found
edits, deletions, reactions are heard: after before eyes ada ada room message_deleted after
channels are heard: go-heard ada go-heard C go-renamed
typing and presence are heard: ada ada room []
files, pins, people are heard: true room ada ada
pings are answered: true
nothing was unreadable, and it ends when asked: [] true
rtm.connect with a bad token: is not tried again
channel_not_found: true channel_not_found channel_not_found
an argument is missing: missing_argument true
tokens: invalid_auth not_authed true token_revoked not_allowed_token_type
a method that is not there: unknown_method
too many posts: true true true after the flood
a deadline of the caller: true
`;

const have = spawnSync('go', ['version']).status === 0 && existsSync(join(packages, 'src/github.com/slack-go/slack'));

describe('slack-go', have ? at('go') : { skip: 'golang-go or golang-github-slack-go-slack-dev is not installed' }, () => {
  const posts = 30; // a second of one token: more than the scenario has, so that only its flood is limited
  let parley, demo, dir;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'parley-go-'));
    // No module mode and a cache of its own: nothing is fetched, and nothing is left behind.
    const go = spawnSync('go', ['build', '-o', join(dir, 'scenario'), '.'], { cwd: source, encoding: 'utf8', timeout: 300000,
      env: { ...process.env, GO111MODULE: 'off', GOPATH: packages, GOCACHE: join(dir, 'cache'), GOTOOLCHAIN: 'local' } });
    assert.equal(go.status, 0, `go build: ${go.stderr}`);
    parley = await Parley.start({ settings: { 'api.rate_posts_per_s': posts } });
    demo = parley.demo();
    parley.ctl('--workspace', demo.team.id, 'user', 'add', 'root', '--admin');
    const root = parley.ctlJson('--workspace', demo.team.id, 'token', 'issue', 'root').token;
    assert.equal((await parley.call('admin.emoji.add', root, { name: 'parrot', url: 'https://example.com/parrot.png' })).ok, true);
  });
  after(async () => {
    await parley?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  test('every call that Parley has', async () => {
    const [ada, grace, linus] = demo.users.map((u) => u.token);
    const spent = parley.ctlJson('--workspace', demo.team.id, 'token', 'issue', demo.users[2].id).token;
    const child = spawn(join(dir, 'scenario'), { timeout: 60000 * slow, env: { PATH: process.env.PATH, TMPDIR: dir, PARLEY_API: parley.api,
      PARLEY_ADA: ada, PARLEY_GRACE: grace, PARLEY_LINUS: linus, PARLEY_BOT: demo.bot.token, PARLEY_SPENT: spent, PARLEY_FLOOD: String(posts) } });
    let out = '', err = '';
    child.stdout.setEncoding('utf8').on('data', (s) => { out += s; });
    child.stderr.setEncoding('utf8').on('data', (s) => { err += s; });
    const code = await new Promise((resolve) => { child.on('close', resolve); });
    assert.deepEqual(out.split('\n'), expected.split('\n'), err);
    assert.equal(code, 0, err);
  });
});
