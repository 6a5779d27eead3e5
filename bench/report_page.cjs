// report_page.cjs - the page of tools/bench-report: table, plots as inline SVG, flame graphs. No script or style from elsewhere.
'use strict';

const escape = (s) => String(s).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
const colours = ['#4477aa', '#ee6677', '#228833', '#ccbb44', '#66ccee', '#aa3377', '#999999', '#222255', '#774411'];
const W = 560, H = 300, left = 64, right = 12, topEdge = 28, bottom = 46;

function ticks(min, max, log) {
  if (log) {
    const out = [];
    for (let e = Math.floor(Math.log10(min)); e <= Math.ceil(Math.log10(max)); e++) out.push(10 ** e);
    return out;
  }
  const step = 10 ** Math.floor(Math.log10(max / 4 || 1));
  const unit = [1, 2, 5, 10].map((k) => k * step).find((u) => max / u <= 6);
  return Array.from({ length: Math.floor(max / unit) + 2 }, (_, i) => i * unit);
}

const short = (v) => (v >= 1e6 ? `${v / 1e6} M` : v >= 1e3 ? `${v / 1e3} k` : `${+v.toPrecision(3)}`);

// series: [{name, points: [[x, y]]}]; floor: {name, y}
function lines({ title, x, y, series, floorLine, logX = true, logY = true }) {
  const points = series.flatMap((s) => s.points).filter((p) => p.every(Number.isFinite));
  if (points.length === 0) return '';
  const ys = points.map((p) => p[1]).concat(floorLine ? [floorLine.y] : []), xs = points.map((p) => p[0]);
  const axis = (values, log, from, to) => {
    const marks = ticks(Math.min(...values), Math.max(...values), log);
    const [lo, hi] = [marks[0], marks[marks.length - 1]];
    const at = log ? (v) => from + ((Math.log10(v) - Math.log10(lo)) / (Math.log10(hi) - Math.log10(lo) || 1)) * (to - from) : (v) => from + ((v - lo) / (hi - lo)) * (to - from);
    return { marks, at };
  };
  const ax = axis(xs, logX, left, W - right), ay = axis(ys, logY, H - bottom, topEdge);
  const grid = ax.marks.map((m) => `<line x1="${ax.at(m)}" x2="${ax.at(m)}" y1="${topEdge}" y2="${H - bottom}" class="grid"/><text x="${ax.at(m)}" y="${H - bottom + 14}" text-anchor="middle">${short(m)}</text>`)
    .concat(ay.marks.map((m) => `<line y1="${ay.at(m)}" y2="${ay.at(m)}" x1="${left}" x2="${W - right}" class="grid"/><text x="${left - 5}" y="${ay.at(m) + 4}" text-anchor="end">${short(m)}</text>`));
  const drawn = series.map((s, i) => `<polyline fill="none" stroke="${colours[i]}" stroke-width="2" points="${s.points.map(([a, b]) => `${ax.at(a).toFixed(1)},${ay.at(b).toFixed(1)}`).join(' ')}"/>` +
    s.points.map(([a, b]) => `<circle cx="${ax.at(a).toFixed(1)}" cy="${ay.at(b).toFixed(1)}" r="3" fill="${colours[i]}"><title>${escape(s.name)}: ${short(a)}, ${short(b)}</title></circle>`).join('') +
    `<text x="${left + 8}" y="${topEdge + 14 + i * 14}" fill="${colours[i]}">${escape(s.name)}</text>`);
  if (floorLine) drawn.push(`<line x1="${left}" x2="${W - right}" y1="${ay.at(floorLine.y)}" y2="${ay.at(floorLine.y)}" class="floor"/><text x="${W - right - 4}" y="${ay.at(floorLine.y) - 4}" text-anchor="end">${escape(floorLine.name)}</text>`);
  return frame(title, x, y, grid.join('') + drawn.join(''));
}

// bars: [{name, parts: {thread: value}, floor}]
function stacks({ title, y, bars }) {
  const good = bars.filter((b) => b.parts);
  if (good.length === 0) return '';
  const totals = good.map((b) => Object.values(b.parts).reduce((a, v) => a + v, 0));
  const names = [...new Set(good.flatMap((b) => Object.keys(b.parts)))].filter((n) => good.some((b) => b.parts[n] > 0.01 * Math.max(...totals)));
  const marks = ticks(0, Math.max(...totals), false), hi = marks[marks.length - 1];
  const at = (v) => H - bottom - (v / hi) * (H - bottom - topEdge), step = (W - left - right - 110) / good.length;
  let out = marks.map((m) => `<line y1="${at(m)}" y2="${at(m)}" x1="${left}" x2="${W - right - 110}" class="grid"/><text x="${left - 5}" y="${at(m) + 4}" text-anchor="end">${short(m)}</text>`).join('');
  good.forEach((b, i) => {
    let sum = 0;
    const x = left + i * step + step * 0.15;
    for (const [k, n] of names.entries()) {
      const v = b.parts[n] ?? 0;
      out += `<rect x="${x.toFixed(1)}" width="${(step * 0.7).toFixed(1)}" y="${at(sum + v).toFixed(1)}" height="${(at(sum) - at(sum + v)).toFixed(1)}" fill="${colours[k % colours.length]}"><title>${escape(b.name)}, ${escape(n)}: ${v.toFixed(2)} µs</title></rect>`;
      sum += v;
    }
    if (b.floor) out += `<line x1="${x}" x2="${x + step * 0.7}" y1="${at(b.floor)}" y2="${at(b.floor)}" class="floor"><title>floor: ${b.floor.toFixed(2)} µs</title></line>`;
    out += `<text x="${(x + step * 0.35).toFixed(1)}" y="${H - bottom + 14}" text-anchor="middle">${escape(b.name)}</text>`;
  });
  names.forEach((n, k) => { out += `<rect x="${W - 105}" y="${topEdge + k * 16}" width="11" height="11" fill="${colours[k % colours.length]}"/><text x="${W - 90}" y="${topEdge + 10 + k * 16}">${escape(n)}</text>`; });
  return frame(title, '', y, out);
}

function frame(title, x, y, inside) {
  return `<svg class="plot" viewBox="0 0 ${W} ${H}" role="img" aria-label="${escape(title)}"><text x="${W / 2}" y="16" text-anchor="middle" font-weight="bold">${escape(title)}</text>${inside}` +
    `<text x="${(W + left) / 2}" y="${H - 10}" text-anchor="middle">${escape(x)}</text><text transform="translate(13 ${H / 2}) rotate(-90)" text-anchor="middle">${escape(y)}</text></svg>`;
}

function plots(r) {
  const f = r.floors, out = [];
  if (r.curve) {
    out.push(lines({ title: 'A post: latency against load (open loop)', x: 'posts a second', y: 'µs from the intended time',
      series: ['p50', 'p99', 'p999'].map((q) => ({ name: q, points: r.curve.map((c) => [c.rate, c.post_us[q]]) })), floorLine: f && { name: 'one sync, p50', y: f.sync.append_sync_us.p50 } }));
    out.push(lines({ title: 'A post: CPU against load (open loop)', x: 'posts a second', y: 'µs of CPU', logY: false,
      series: [{ name: 'all threads', points: r.curve.map((c) => [c.rate, c.server_cpu_us_per_post]) }], floorLine: f && { name: 'floor: a request', y: f.http64.server_cpu_us_per_request } }));
  }
  if (r.send) {
    out.push(stacks({ title: 'A post: CPU by thread (dashed: floor of request and log)', y: 'µs',
      bars: Object.entries(r.send).map(([c, s]) => ({ name: `${c} sender${c === '1' ? '' : 's'}`, parts: s.server_cpu_us_per_post_by_thread,
        floor: f && (f[c === '512' ? 'http512' : 'http64'].server_cpu_us_per_request + f.log[`cpu_us_per_record_${c}`]) })) }));
  }
  if (r.fanout) {
    out.push(lines({ title: 'A delivery: latency against listeners (50 posts/s)', x: 'listeners', y: 'µs from the intended time',
      series: ['p50', 'p99'].map((q) => ({ name: q, points: r.fanout.map((c) => [c.listeners, c.delivery_us[q]]) })), floorLine: f && { name: 'floor: a round of 1,000 sends, p50', y: f.sendPaced.round_us_1.p50 } }));
    const point = r.fanout[r.fanout.length - 1];
    out.push(stacks({ title: 'A delivery: CPU by thread (dashed: floor of a send)', y: 'µs', bars: [
      { name: `${point.listeners} listeners, 50 posts/s`, parts: point.server_cpu_us_per_delivery_by_thread, floor: f?.sendPaced.cpu_us_per_send_1 },
      { name: 'saturation', parts: r.saturation?.server_cpu_us_per_delivery_by_thread, floor: f?.send.cpu_us_per_event_16 }] }));
  }
  if (r.history) {
    out.push(stacks({ title: 'A page of 100: CPU by thread', y: 'µs', bars: [
      { name: 'newest', parts: r.history.server_cpu_us_per_newest_page_by_thread, floor: f?.http64.server_cpu_us_per_request },
      { name: 'deeper', parts: r.history.server_cpu_us_per_deep_page_by_thread, floor: f?.http64.server_cpu_us_per_request }] }));
  }
  if (r.idle) {
    out.push(lines({ title: 'Idle sockets: memory over that of none', x: 'sockets', y: 'MiB', logX: false, logY: false, series: [
      { name: "server's resident memory", points: r.idle.map((i) => [i.sockets, Math.max(0, i.user * i.sockets) / 2 ** 20]) },
      { name: "kernel's, both ends", points: r.idle.map((i) => [i.sockets, Math.max(0, i.kernel * i.sockets) / 2 ** 20]) }] }));
  }
  if (r.storm || r.mixed) {
    out.push(stacks({ title: 'A return after a cut, a call of the mixed load: CPU by thread', y: 'µs', bars: [
      { name: 'return', parts: r.storm?.server_cpu_us_per_return_by_thread }, { name: 'mixed call', parts: r.mixed?.server_cpu_us_per_call_by_thread }] }));
  }
  return out.filter(Boolean).join('\n');
}

const verdict = (row) => (row.met === null ? '' : row.met ? 'yes' : 'no');

function page(r, table, flameScript) {
  const m = r.machine;
  const flames = Object.entries(r.flames ?? {}).map(([name, html]) => `<h2>Where the CPU goes: ${escape(name)}</h2>\n${html}`).join('\n');
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Parley: what it costs</title><style>
body{font:14px/1.45 system-ui,sans-serif;max-width:1240px;margin:1em auto;padding:0 1em;color:#222}
table{border-collapse:collapse}td,th{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:left}td:nth-child(n+2){white-space:nowrap}
.yes{color:#186a1d}.no{color:#b3261e;font-weight:bold}.plots{display:flex;flex-wrap:wrap;gap:12px}svg.plot{width:580px;font:11px sans-serif}
.grid{stroke:#e4e4e4}.floor{stroke:#000;stroke-dasharray:5 3}svg.flame g{cursor:pointer}h3{margin:1em 0 .2em}
</style></head><body><h1>What Parley costs on this machine</h1>
<p>${escape(r.when)}${r.quick ? ', short loads' : ''}; ${m.cpus} × ${escape(m.model)}, Linux ${escape(m.kernel)}, ${(m.memory / 2 ** 30).toFixed(0)} GiB; load average ${r.load.map((l) => l.toFixed(1)).join(' before, ')} after.
Server and load generator share the processors: CPU per unit is the figure to trust, latencies are those of this machine in this hour.
Every load that writes was audited: each acknowledged message is in history once, in order, with its text.</p>
${r.problems.length ? `<p class="no">Not measured, since something failed: ${r.problems.map(escape).join('; ')}</p>` : ''}
<table><tr><th>work</th><th>target</th><th>measured</th><th>floor in the same run</th><th>met</th></tr>
${table.map((t) => `<tr><td>${escape(t.work)}</td><td>${escape(t.target)}</td><td>${escape(t.value)}</td><td>${escape(t.floor)}</td><td class="${verdict(t)}">${verdict(t)}</td></tr>`).join('\n')}</table>
<div class="plots">${plots(r)}</div>
${flames}${flames ? flameScript : ''}</body></html>\n`;
}

function textTable(table) {
  const cells = [['work', 'target', 'measured', 'floor', 'met'], ...table.map((t) => [t.work, t.target, t.value, t.floor, verdict(t)])];
  const widths = cells[0].map((_, i) => Math.max(...cells.map((c) => c[i].length)));
  return cells.map((c) => c.map((s, i) => s.padEnd(widths[i])).join('  ').trimEnd()).join('\n');
}

module.exports = { page, textTable, escape };
