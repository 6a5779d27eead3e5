// modes.mjs - what can go wrong, each as a mode of the torture: needs() says why it cannot run here, setUp() gives the
// daemon its place, cycle() strikes once and brings the service back.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CutDisk, FaultyDisk, missing } from '../faults/disks.mjs';

const ready_ms_max = 20000;

class Mode {
  constructor(bin, rand) {
    this.bin = bin;
    this.rand = rand;
    this.notes = {};
  }

  needs() { return undefined; }

  // Throws when the strikes did not do what they should.
  verify() {}

  async setUp() {
    this.data = mkdtempSync(join(tmpdir(), 'parley-torture-'));
    return { data: this.data };
  }

  async tearDown() { rmSync(this.data, { recursive: true, force: true }); }

  note(name, n = 1) { this.notes[name] = (this.notes[name] ?? 0) + n; }

  noteMost(name, n) { this.notes[name] = Math.max(this.notes[name] ?? 0, n); }

  async up(parley) {
    const from = Date.now();
    await parley.up();
    this.noteMost('longest_start_ms', Date.now() - from);
  }
}

class Kill extends Mode {
  static flag = 'kill';
  static what = 'SIGKILL at random moments, also while it recovers (the default)';

  async cycle(parley, load) {
    await parley.kill();
    load.fault();
    while (this.rand.next() < 0.25) { // once more, while it reads its log
      const start = parley.up().catch(() => {});
      await sleep(this.rand.between(0, 60));
      parley.child?.kill('SIGKILL');
      await parley.exited;
      await start;
      parley.exit = undefined;
      this.note('killed_while_recovering');
    }
    await this.up(parley);
    await load.untilTaken(ready_ms_max, 'after SIGKILL');
  }
}

class Term extends Mode {
  static flag = 'term';
  static what = 'SIGTERM under load: ends with 0 in time, starts again';

  async cycle(parley, load) {
    const from = Date.now();
    const exit = await Promise.race([parley.term(), sleep(15000)]);
    if (exit === undefined) throw new Error('SIGTERM: still running after 15 s');
    if (exit.code !== 0) throw new Error(`SIGTERM: ended with ${JSON.stringify(exit)}`);
    load.fault();
    this.noteMost('longest_drain_ms', Date.now() - from);
    await this.up(parley);
    await load.untilTaken(ready_ms_max, 'after SIGTERM');
  }
}

class Stop extends Mode {
  static flag = 'stop';
  static what = 'SIGSTOP for one to four seconds';

  async cycle(parley, load) {
    parley.child.kill('SIGSTOP');
    await sleep(10);
    load.fault();
    await sleep(this.rand.between(1000, 4000));
    parley.child.kill('SIGCONT');
    await load.untilTaken(ready_ms_max, 'after SIGSTOP');
  }
}

class DiskFull extends Mode {
  static flag = 'disk-full';
  static what = 'the disk is full, or fails its writes, in the middle of a record too; without a restart';

  needs() { return missing(this.bin); }

  async setUp() {
    this.disk = await FaultyDisk.mount(this.bin);
    return { data: this.disk.data };
  }

  async cycle(parley, load) {
    const short = `rule write short=${this.rand.whole(200)} times=1 after=${this.rand.whole(4)} match=*.log`;
    const fault = [['full on'], [short, 'full on'], ['rule write eio'], [short, 'rule write eio match=*.log'], ['rule create enospc']][this.rand.whole(5)];
    this.disk.tell(...fault);
    await sleep(this.rand.between(200, 1500));
    load.fault();
    const from = Date.now();
    this.disk.tell('clear');
    await load.untilTaken(ready_ms_max, `after ${fault.join(', ')}`);
    this.noteMost('longest_resume_ms', Date.now() - from);
  }

  async tearDown() { await this.disk.unmount(); }
}

class PowerCut extends Mode {
  static flag = 'power-cut';
  static what = 'the drive loses power: unflushed sectors are lost, but for a seeded subset';

  needs() { return missing(this.bin, { blockDevice: true }); }

  async setUp() {
    this.disk = await CutDisk.create(this.bin);
    // Small memtables: files are made, merged and removed all the time, and a cut falls into that too.
    return { data: this.disk.data, settings: { 'store.memtable_bytes': 131072 } };
  }

  async cycle(parley, load) {
    this.disk.cut(this.rand.whole(2 ** 31));
    await sleep(this.rand.between(0, 50));
    await parley.kill();
    load.fault();
    const { kept, dropped, flushes } = this.disk.counts();
    this.note('sectors_kept', kept);
    this.note('sectors_lost', dropped);
    this.note('flushes', flushes);
    await this.disk.unplug();
    await this.disk.plugIn();
    await this.up(parley);
    await load.untilTaken(ready_ms_max, 'after a power cut');
  }

  verify() {
    if (!(this.notes.flushes > 0)) throw new Error('nothing was ever flushed to the drive');
  }

  async tearDown() { await this.disk.destroy(); }
}

const faketime_paths = ['/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1', '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1'];

class Clock extends Mode {
  static flag = 'clock';
  static what = 'the wall clock steps back and forth by up to a day, also across restarts';

  needs() {
    this.library = faketime_paths.find((p) => existsSync(p));
    if (/asan|tsan/.test(this.bin)) return 'libfaketime and sanitizers take the same functions; run it on another build';
    return this.library ? undefined : 'it needs the package libfaketime';
  }

  verify() {
    if (!(this.notes.furthest_ts_s > 60)) throw new Error('the clock of the daemon was not moved');
  }

  step(seconds) { writeFileSync(this.file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}s\n`); }

  async setUp() {
    this.data = mkdtempSync(join(tmpdir(), 'parley-torture-'));
    mkdirSync(join(this.data, 'data'));
    this.file = join(this.data, 'clock');
    this.step(3600); // verify() sees it in the first ts
    const env = { LD_PRELOAD: this.library, FAKETIME_TIMESTAMP_FILE: this.file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_FLSHM: '0' };
    return { data: join(this.data, 'data'), env };
  }

  async cycle(parley, load) {
    const seconds = Math.round(this.rand.between(-1, 1) * [1, 30, 3600, 86400][this.rand.whole(4)]);
    this.step(seconds);
    if (this.rand.next() < 0.5) {
      await parley.kill();
      load.fault();
      await this.up(parley);
    } else {
      await sleep(300);
      load.fault();
    }
    await load.untilTaken(ready_ms_max, `after a step of ${seconds} s`);
    this.noteMost('furthest_ts_s', Math.round(Math.abs(Number(load.recent.at(-1).ts) - Date.now() / 1000)));
  }
}

export const modes = [Kill, PowerCut, DiskFull, Stop, Clock, Term];
