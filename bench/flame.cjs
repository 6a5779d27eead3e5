// flame.cjs - CPU samples of a process to flame graphs, one for each thread name: perf record, perf script, SVG.
// Frame pointers are kept in every build, so the stacks are whole without debug information.
'use strict';
const { spawnSync } = require('node:child_process');
const { start } = require('./rig.cjs');

const width = 1180, rowHeight = 17, charWidth = 6.6, depthMax = 60, leastPart = 0.0008;

const escape = (s) => s.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

function perfIsThere() { return spawnSync('perf', ['version']).status === 0; }

// Samples pid for so many seconds into file. Software clock: virtual machines often have no cycle counter.
async function record(pid, seconds, file, hertz = 499) {
  const child = start(['perf', 'record', '-q', '-e', 'cpu-clock', '-F', String(hertz), '-g', '-o', file, '-p', String(pid), '--', 'sleep', String(seconds)]);
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000 + 20000);
  const code = await child.ended;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`perf record: ${code} ${child.err.slice(-500)}`);
}

// {thread name without its number: {samples, root}}; a node: {name, kernel, count, children}
async function fold(file) {
  const child = start(['perf', 'script', '-i', file, '-F', 'comm,ip,sym,dso']);
  const timer = setTimeout(() => child.kill('SIGKILL'), 120000);
  const code = await child.ended;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`perf script: ${code} ${child.err.slice(-500)}`);
  const threads = new Map();
  for (const block of child.out.split('\n\n')) {
    const lines = block.split('\n').filter((l) => l.trim());
    if (lines.length < 2) continue;
    const comm = lines[0].trim().replace(/\s+$/, '').replace(/\d+$/, '');
    if (!threads.has(comm)) threads.set(comm, { samples: 0, root: node('all', false) });
    const t = threads.get(comm);
    t.samples++;
    add(t.root, lines.slice(1).map(frame).reverse().slice(0, depthMax));
  }
  return threads;
}

// [[function, samples in itself]], the most first.
function self(root) {
  const sums = new Map();
  (function walk(n) {
    let own = n.count;
    for (const c of n.children.values()) { own -= c.count; walk(c); }
    if (own > 0) sums.set(n.name, (sums.get(n.name) ?? 0) + own);
  })(root);
  return [...sums].sort((a, b) => b[1] - a[1]);
}

function node(name, kernel) { return { name, kernel, count: 0, children: new Map() }; }

function frame(line) {
  const m = /^\s*[0-9a-f]+ (.*?)(?: \(([^()]*(?:\([^()]*\))?[^()]*)\))?$/.exec(line);
  const name = m ? m[1].replace(/\+0x[0-9a-f]+$/, '') : line.trim();
  return { name, kernel: !!m && /kernel|\.ko|guest/.test(m[2] ?? '') };
}

function add(root, frames) {
  let at = root;
  at.count++;
  for (const f of frames) {
    const key = f.name + (f.kernel ? '#k' : '');
    if (!at.children.has(key)) at.children.set(key, node(f.name, f.kernel));
    at = at.children.get(key);
    at.count++;
  }
}

// Kernel, RocksDB, other libraries, ours: four families of colour; the shade tells neighbours apart.
function colour(n) {
  let hash = 0;
  for (const c of n.name) hash = (hash * 31 + c.charCodeAt(0)) >>> 0;
  const shade = hash % 30;
  if (n.kernel) return `hsl(28,75%,${58 + shade / 2}%)`;
  if (/rocksdb|LZ4_|ZSTD_|std::/.test(n.name)) return `hsl(210,60%,${60 + shade / 2}%)`;
  if (/^\[|^_*(mem|str)|^__|^mi_|alloc|^SSL_|^bssl|^OPENSSL|simdjson/.test(n.name)) return `hsl(140,35%,${60 + shade / 2}%)`;
  return `hsl(350,65%,${62 + shade / 2}%)`;
}

function layout(n, x, depth, total, out) {
  const w = (n.count / total) * width;
  if (n.count / total < leastPart) return;
  out.push({ n, x, w, depth });
  let at = x;
  for (const c of [...n.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    layout(c, at, depth + 1, total, out);
    at += (c.count / total) * width;
  }
}

// One SVG, root at the bottom. A click on a frame widens it (script()).
function svg(root, title) {
  const boxes = [];
  layout(root, 0, 0, root.count, boxes);
  const rows = Math.max(...boxes.map((b) => b.depth)) + 1;
  const height = rows * rowHeight + 4;
  const parts = boxes.map(({ n, x, w, depth }) => {
    const y = height - (depth + 1) * rowHeight;
    const chars = Math.floor((w - 4) / charWidth);
    const label = chars < 3 ? '' : n.name.length <= chars ? n.name : `${n.name.slice(0, chars - 1)}…`;
    const share = ((100 * n.count) / root.count).toFixed(1);
    return `<g data-x="${x.toFixed(2)}" data-w="${w.toFixed(2)}" data-d="${depth}" data-n="${escape(n.name)}"><title>${escape(n.name)}: ${n.count} samples, ${share} %</title>` +
      `<rect x="${x.toFixed(2)}" y="${y}" width="${Math.max(w - 0.4, 0.2).toFixed(2)}" height="${rowHeight - 1}" fill="${colour(n)}"/>` +
      `<text x="${(x + 3).toFixed(2)}" y="${y + 12}">${escape(label)}</text></g>`;
  });
  return `<svg class="flame" viewBox="0 0 ${width} ${height}" width="100%" role="img" aria-label="${escape(title)}" font-family="monospace" font-size="11">${parts.join('')}</svg>`;
}

// Goes once into a page that holds flame graphs.
function script() {
  return `<script>
for (const s of document.querySelectorAll('svg.flame')) s.addEventListener('click', (e) => {
  const g = e.target.closest('g');
  if (!g) return;
  const x0 = +g.dataset.x, w0 = +g.dataset.w, d0 = +g.dataset.d, k = ${width} / w0;
  for (const b of s.querySelectorAll('g')) {
    const x = +b.dataset.x, w = +b.dataset.w, below = +b.dataset.d < d0;
    const inside = below ? x <= x0 + 0.01 && x + w >= x0 + w0 - 0.01 : x >= x0 - 0.01 && x + w <= x0 + w0 + 0.01;
    b.style.display = inside ? '' : 'none';
    const nx = below ? 0 : (x - x0) * k, nw = below ? ${width} : w * k, t = b.querySelector('text');
    b.querySelector('rect').setAttribute('x', nx);
    b.querySelector('rect').setAttribute('width', Math.max(nw - 0.4, 0.2));
    t.setAttribute('x', nx + 3);
    const chars = Math.floor((nw - 4) / ${charWidth}), n = b.dataset.n;
    t.textContent = chars < 3 ? '' : n.length <= chars ? n : n.slice(0, chars - 1) + '…';
  }
});
</script>`;
}

// HTML of all threads that have a share worth looking at, most CPU first.
function html(threads) {
  const all = [...threads.values()].reduce((n, t) => n + t.samples, 0);
  return [...threads].sort((a, b) => b[1].samples - a[1].samples).filter(([, t]) => t.samples / all >= 0.01)
    .map(([name, t]) => `<h3>${escape(name)}: ${((100 * t.samples) / all).toFixed(1)} % of ${all} samples</h3>\n${svg(t.root, `flame graph of ${name}`)}`).join('\n');
}

module.exports = { perfIsThere, record, fold, self, html, script, escape };
