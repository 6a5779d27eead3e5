// trace.cjs - a synthetic trace of Slack messages for the mixed load: few busy channels, many quiet ones, texts of every
// script. Always the same for the same number of lines.
'use strict';
const { writeFileSync } = require('node:fs');

const words = ['map', 'reduce', '<@U1>', '`code`', 'naïve', 'отлично', '日本語', '🎉', '&amp;', '<https://example.com/?a=1&amp;b=2|link>', '"quoted"', '\\', '\n'];

function syntheticTrace(file, lines) {
  let state = 20180201;
  const below = (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  let text = '';
  for (let i = 0; i < lines; i++) {
    const line = {
      type: 'message', channel: `C${Math.floor(2 ** (below(700) / 100))}`, user: `U${below(80)}`, ts: `${1517436010 + i}.000000`,
      text: Array.from({ length: 1 + below(40) }, () => words[below(words.length)]).join(' '),
    };
    text += `${JSON.stringify(line)}\n`;
  }
  writeFileSync(file, text);
}

module.exports = { syntheticTrace };
