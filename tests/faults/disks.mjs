// disks.mjs - file systems that break on command, for tests of the whole daemon. Root and /dev/fuse are needed; where
// they are missing, the first call says so and the test fails.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// undefined, or why faulty disks cannot be had here.
export function missing(bin, { blockDevice = false } = {}) {
  if (process.getuid() !== 0) return 'it needs root, to mount file systems';
  for (const device of ['/dev/fuse', ...(blockDevice ? ['/dev/loop-control'] : [])]) {
    try { accessSync(device, constants.R_OK | constants.W_OK); } catch { return `it needs ${device}, which is not there or not ours`; }
  }
  for (const program of [join(bin, 'tests/faults/faultfs'), join(bin, 'tests/faults/cutdisk')]) {
    try { statSync(program); } catch { return `${program} is not built`; }
  }
  const tools = blockDevice ? ['mount', 'umount', 'losetup', 'mkfs.ext4'] : ['umount'];
  for (const tool of tools) {
    if (spawnSync(tool, ['--version']).error && spawnSync(tool, ['-V']).error) return `it needs the program ${tool}`;
  }
  return undefined;
}

function run(command, ...words) {
  const r = spawnSync(command, words, { encoding: 'utf8', timeout: 60000 });
  if (r.status !== 0) throw new Error(`${command} ${words.join(' ')}: ${r.status ?? r.signal} ${r.stderr}`);
  return r.stdout.trim();
}

async function startFs(bin, program, ...words) {
  const child = spawn(join(bin, 'tests/faults', program), words, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr.setEncoding('utf8').on('data', (text) => { // libfuse 3.14 complains of its own default
    const rest = text.split('\n').filter((l) => l && !l.startsWith('Ignoring invalid max threads')).join('\n');
    if (rest) process.stderr.write(`${program}: ${rest}\n`);
  });
  const [first] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(([code]) => { throw new Error(`${program} ended with ${code}`); })]);
  if (!String(first).startsWith('ready')) throw new Error(`${program}: ${first}`);
  return child;
}

// It unmounts itself at SIGTERM; whatever went wrong, no mount is left behind.
async function stopFs(child, at) {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await Promise.race([ended, sleep(3000, undefined, { ref: false }).then(() => child.kill('SIGKILL'))]);
  }
  spawnSync('umount', ['-l', at]);
}

// A directory whose disk does what it is told: `data` is for the daemon, `below` is what lies under it.
export class FaultyDisk {
  static async mount(bin) {
    const why = missing(bin);
    if (why) throw new Error(`cannot put a faulty disk below the daemon: ${why}`);
    const d = new FaultyDisk();
    d.dir = mkdtempSync(join(tmpdir(), 'parley-faults-'));
    d.root = join(d.dir, 'below');
    d.at = join(d.dir, 'at');
    mkdirSync(d.root);
    mkdirSync(d.at);
    d.child = await startFs(bin, 'faultfs', d.root, d.at);
    d.data = join(d.at, 'data');
    d.below = join(d.root, 'data');
    mkdirSync(d.data);
    return d;
  }

  tell(...lines) { writeFileSync(join(this.at, '.faultfs'), `${lines.join('\n')}\n`); }

  // How often a rule struck, and sums over the files whose path matches.
  counts(pattern = /./) {
    const sums = { struck: 0 };
    for (const line of readFileSync(join(this.at, '.faultfs'), 'utf8').trim().split('\n')) {
      const [path, ...rest] = line.split(' ');
      if (path === 'struck') sums.struck = Number(rest[0]);
      else if (pattern.test(path)) for (const w of rest) sums[w.split('=')[0]] = (sums[w.split('=')[0]] ?? 0) + Number(w.split('=')[1]);
    }
    return sums;
  }

  async unmount() {
    await stopFs(this.child, this.at);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

// An ext4 on a drive with a write cache that can lose power.
export class CutDisk {
  static async create(bin, megabytes = 512) {
    const why = missing(bin, { blockDevice: true });
    if (why) throw new Error(`cannot cut the power of a disk: ${why}`);
    const d = new CutDisk();
    d.bin = bin;
    d.dir = mkdtempSync(join(tmpdir(), 'parley-cut-'));
    d.image = join(d.dir, 'image');
    d.drive = join(d.dir, 'drive');
    d.at = join(d.dir, 'at');
    mkdirSync(d.drive);
    mkdirSync(d.at);
    run('truncate', '-s', `${megabytes}M`, d.image);
    run('mkfs.ext4', '-q', '-F', d.image);
    await d.plugIn();
    d.data = join(d.at, 'data');
    mkdirSync(d.data);
    run('sync', d.at);
    return d;
  }

  async plugIn() {
    this.child = await startFs(this.bin, 'cutdisk', this.image, this.drive);
    this.loop = run('losetup', '-f', '--show', join(this.drive, 'disk'));
    run('mount', '-o', 'commit=1', this.loop, this.at); // its journal is busy all the time
  }

  // From now on every call fails; what survived is in the image.
  cut(seed) { writeFileSync(join(this.drive, 'control'), `cut ${seed}\n`); }

  counts() {
    const words = readFileSync(join(this.drive, 'control'), 'utf8').trim().split(' ');
    return Object.fromEntries(Array.from({ length: words.length / 2 }, (_, i) => [words[2 * i], Number(words[2 * i + 1])]));
  }

  async unplug() {
    spawnSync('umount', [this.at]);
    spawnSync('umount', ['-l', this.at]);
    spawnSync('losetup', ['-d', this.loop]);
    await stopFs(this.child, this.drive);
  }

  async destroy() {
    await this.unplug();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
