// The lanes: faults, nodes and clients over time. charts.js has those that are curves.

/** Operations of one lane that are drawn one by one; of more, their outcomes over stretches of time. */
const SINGLE_MAX = 3000;

const TITLE_HEIGHT = 26;
const FONT = '12px system-ui, sans-serif';
const SMALL = '11px system-ui, sans-serif';

/** Everything on the tall canvas: its rows, from the top. */
class Board {
  constructor(index, view) {
    this.index = index;
    this.operations = index.operations;
    this.view = view;
    this.faults = stacked(index.operations.header.faults);
    this.nodes = nodeSpans(index.operations.header);
    this.violation = index.operations.header.violation.map((number) => this.operations.placeOf(number)).filter((place) => place >= 0);
    this.core = new Set(this.violation);
    this.chosen = -1;
    this.hovered = -1;
  }

  /** Puts the rows below each other, for a canvas of this width. */
  arrange(width) {
    const narrow = width < 640;
    this.width = width;
    this.narrow = narrow;
    this.view.left = narrow ? 0 : 124;
    this.view.right = width - 2;
    const { lanes } = this.operations.header;
    const laneHeight = clamp(Math.floor(320 / Math.max(lanes.length, 1)), 5, 20);
    this.rows = [];
    this.titles = [];
    this.height = 0;
    const title = (text) => {
      this.titles.push({ text, y: this.height });
      this.height += TITLE_HEIGHT;
    };
    const row = (kind, height, more) => {
      this.rows.push({ kind, y: this.height, height, ...more });
      this.height += height + (height > 12 ? 3 : 1);
    };
    if (this.faults.length) {
      title('Faults');
      for (const faults of this.faults) row('faults', 17, { faults });
    }
    if (this.nodes.length) {
      title('Nodes');
      for (const node of this.nodes) row('node', 20, { node, label: 'node ' + node.number });
    }
    title('Clients');
    lanes.forEach((lane, place) => {
      const label = lane.name + (lane.node === null ? '' : ' → n' + lane.node);
      row('client', laneHeight, { lane: place, label: laneHeight >= 11 || place % 4 === 0 ? label : '' });
    });
    title(this.operations.header.open_loop ? 'Latency, from the intended start' : 'Latency');
    row('latency', narrow ? 130 : 170);
    title('Throughput, ok a second');
    row('throughput', narrow ? 64 : 84);
    title('Availability, share of answered operations');
    row('availability', narrow ? 48 : 56);
    this.height += 6;
  }

  row(kind) {
    return this.rows.find((row) => row.kind === kind);
  }

  rowAt(y) {
    return this.rows.find((row) => y >= row.y && y < row.y + row.height + 1);
  }

  draw(canvas, colours) {
    const context = prepared(canvas, this.width, this.height);
    this.colours = colours;
    this.context = context;
    context.textBaseline = 'middle';
    this.drawPhases();
    for (const row of this.rows) {
      if (row.kind === 'client') this.drawClient(row);
      else if (row.kind === 'faults') this.drawFaults(row);
      else if (row.kind === 'node') this.drawNode(row);
      else if (row.kind === 'latency') drawLatency(this, row);
      else if (row.kind === 'throughput') drawThroughput(this, row);
      else drawAvailability(this, row);
    }
    this.drawViolation();
    this.drawNames();
  }

  /** The phases as bands behind everything, and round moments as lines. */
  drawPhases() {
    const { context, view, colours } = this;
    this.operations.header.phases.forEach(([name, from, to], place) => {
      if (place % 2 === 0 || to <= view.from || from >= view.to) return;
      const [left, right] = this.clipped(from, to);
      context.fillStyle = colours.band;
      context.fillRect(left, 0, right - left, this.height);
    });
    context.fillStyle = colours.line;
    for (const time of ticks(view, 110).moments) context.fillRect(Math.round(view.x(time)), 0, 0.5, this.height);
  }

  /** From where to where a stretch of time is on the canvas. */
  clipped(from, to) {
    const { view } = this;
    return [Math.max(view.x(from), view.left), Math.min(view.x(to), view.right)];
  }

  /** The names at the left; on a narrow canvas they stand in the lanes. */
  drawNames() {
    const { context, view, colours } = this;
    context.textAlign = 'left';
    for (const { text, y } of this.titles) {
      context.font = '600 12px system-ui, sans-serif';
      context.fillStyle = colours.text;
      context.fillText(text, 4, y + TITLE_HEIGHT - 10);
    }
    for (const row of this.rows) {
      if (!row.label) continue;
      const y = row.y + row.height / 2;
      context.font = row.height < 14 ? '10px system-ui, sans-serif' : FONT;
      if (!this.narrow) {
        context.fillStyle = colours.panel;
        context.fillRect(0, row.y, view.left - 1, row.height);
        context.fillStyle = colours.quiet;
        context.fillText(fitting(context, row.label, view.left - 12), 4, y);
      } else if (row.height >= 12) {
        const width = context.measureText(row.label).width + 8;
        context.fillStyle = colours.panel;
        context.globalAlpha = 0.85;
        context.fillRect(2, row.y + 1, width, row.height - 2);
        context.globalAlpha = 1;
        context.fillStyle = colours.text;
        context.fillText(row.label, 6, y);
      }
    }
  }

  drawFaults(row) {
    const { context, view, colours } = this;
    context.font = SMALL;
    for (const fault of row.faults) {
      if (fault.end < view.from || fault.start > view.to) continue;
      const [left, right] = this.clipped(fault.start, fault.end);
      const width = Math.max(right - left, 2);
      context.fillStyle = colours.fault;
      context.globalAlpha = 0.3;
      context.fillRect(left, row.y, width, row.height);
      context.globalAlpha = 1;
      context.fillRect(left, row.y, 2, row.height);
      this.inside(plain(fault.name), left + 4, row, width - 6, colours.text);
    }
  }

  drawNode(row) {
    const { context, view, colours } = this;
    context.font = SMALL;
    const { spans } = row.node;
    for (let at = Math.max(lowerBound(row.node.starts, view.from) - 1, 0); at < spans.length; at++) {
      const span = spans[at];
      if (span.from > view.to) break;
      const [left, right] = this.clipped(span.from, span.to);
      if (right - left < 0.3) continue;
      const { line } = span;
      const runs = line.state === 'up';
      context.fillStyle = colours[runs ? (line.role ?? 'candidate') : line.state];
      context.globalAlpha = line.state === 'down' ? 0.35 : 1;
      const height = line.state === 'down' ? 4 : row.height;
      context.fillRect(left, row.y + (row.height - height) / 2, right - left, height);
      context.globalAlpha = 1;
      if (line.state === 'paused') this.hatch(left, row.y, right - left, row.height, colours.text);
      if (line.cut_from?.length) {
        context.fillStyle = colours.cut;
        context.fillRect(left, row.y + row.height - 4, right - left, 4);
      }
      const name = runs ? (line.role ?? 'up') + (line.term ? ' · term ' + line.term : '') : line.state;
      const short = line.term ? 't' + line.term : line.state === 'up' ? '' : line.state;
      if (line.state === 'down') continue;
      const ink = runs && line.role !== 'leader' ? colours.text : colours.ink;
      this.inside(name, left + 4, row, right - left - 8, ink, short);
    }
  }

  drawClient(row) {
    const { view, index, context, colours } = this;
    const places = index.places[row.lane];
    const { invoke } = this.operations;
    const inView = firstAtOrAfter(places, invoke, view.from);
    const to = firstAtOrAfter(places, invoke, view.to);
    context.fillStyle = colours.track;
    context.fillRect(view.left, row.y, view.right - view.left, row.height);
    if (to - inView > SINGLE_MAX) return this.drawLevels(row);
    context.font = row.height >= 14 ? SMALL : '9px system-ui, sans-serif';
    for (let nth = index.firstDrawn(row.lane, view.from); nth < to; nth++) this.drawOperation(row, places, nth);
  }

  drawOperation(row, places, nth) {
    const { view, context, colours, operations } = this;
    const place = places[nth];
    const [left, right] = this.clipped(operations.invoke[place], drawnEnd(operations, places, nth));
    if (right < view.left) return;
    const outcome = operations.outcome(place);
    const width = Math.max(right - left - (right - left > 4 ? 1 : 0), 1);
    context.fillStyle = colours[OUTCOMES[outcome]];
    const [top, height] = barOf(outcome, row.height);
    context.fillRect(left, row.y + top, width, height);
    if (outcome === 3 && width > 3) this.hatch(left, row.y, width, row.height, colours.panel);
    if (width > 40 && row.height >= 11) {
      const ink = outcome === 1 ? '#111' : colours.ink;
      this.inside(operations.words(place) + ' → ' + operations.answer(place), left + 4, row, width - 8, outcome === 2 ? colours.text : ink);
    }
    if (place === this.chosen || place === this.hovered) this.outline(left, row, width, place === this.chosen ? colours.chosen : colours.text);
  }

  /** Outcomes over stretches of time, pixel by pixel, equal ones together. */
  drawLevels(row) {
    const { view, index, context, colours } = this;
    const levels = index.lanes[row.lane];
    let [begun, bits] = [view.left, 0];
    for (let x = view.left; x <= view.right; x++) {
      const here = x < view.right ? levels.at(view.time(x), view.time(x + 0.999)) : -1;
      if (here === bits) continue;
      for (const outcome of [0, 1, 2, 3]) {
        if (bits <= 0 || !(bits & (1 << outcome))) continue;
        const [top, height] = barOf(bits === 1 << outcome ? outcome : outcome + 4, row.height);
        context.fillStyle = colours[OUTCOMES[outcome]];
        context.fillRect(begun, row.y + top, x - begun, height);
      }
      [begun, bits] = [x, here];
    }
  }

  /** The operations of the violation stand out at any zoom. */
  drawViolation() {
    const { view, context, colours, operations } = this;
    for (const place of [...this.violation, this.chosen].filter((place) => place >= 0)) {
      const row = this.rows.find((row) => row.kind === 'client' && row.lane === operations.lane[place]);
      const end = Number.isNaN(operations.end[place]) ? operations.header.end : operations.end[place];
      if (!row || operations.invoke[place] > view.to || end < view.from) continue;
      const [left, right] = this.clipped(operations.invoke[place], end);
      const isCore = this.core.has(place);
      this.outline(left, row, Math.max(right - left, 2), place === this.chosen ? colours.chosen : colours.impossible);
      if (!isCore) continue;
      context.fillStyle = colours.impossible;
      context.beginPath();
      const middle = clamp((left + right) / 2, view.left, view.right);
      context.moveTo(middle, row.y + 1);
      context.lineTo(middle - 5, row.y - 6);
      context.lineTo(middle + 5, row.y - 6);
      context.fill();
    }
  }

  outline(left, row, width, colour) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.strokeRect(left - 1, row.y - 1, width + 2, row.height + 2);
  }

  hatch(left, top, width, height, colour) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    context.strokeStyle = colour;
    context.globalAlpha = 0.45;
    context.lineWidth = 1.5;
    context.beginPath();
    for (let x = left - height - (left % 7); x < left + width; x += 7) {
      context.moveTo(x, top + height);
      context.lineTo(x + height, top);
    }
    context.stroke();
    context.restore();
  }

  /** Text in a bar, or the shorter one, or none. On a narrow canvas it leaves the lane's name free. */
  inside(text, left, row, room, colour, short = '') {
    const { context } = this;
    if (this.narrow && row.label) {
      const name = context.measureText(row.label).width + 16;
      room -= Math.max(name - left, 0);
      left = Math.max(left, name);
    }
    if (room < 8) return;
    const shown = context.measureText(text).width <= room ? text : short || fitting(context, text, room);
    if (context.measureText(shown).width > room) return;
    context.fillStyle = colour;
    context.textAlign = 'left';
    context.fillText(shown, left, row.y + row.height / 2 + 0.5);
  }
}

/** Top and height of an outcome's bar, as shares: shapes tell them apart as colours do. The second four are beside others. */
const BARS = [[0, 1], [0.2, 0.6], [0.6, 0.4], [0, 1], [0, 1], [0.42, 0.16], [0.6, 0.4], [0, 0.4]];

const barOf = (shape, height) => BARS[shape].map((share) => share * height);

/** As much of a text as has room; nothing rather than a letter or two. */
function fitting(context, text, room) {
  const width = context.measureText(text).width;
  if (width <= room) return text;
  let letters = Math.floor((room / width) * text.length);
  while (letters >= 4 && context.measureText(text.slice(0, letters) + '…').width > room) letters--;
  return letters < 4 ? '' : text.slice(0, letters) + '…';
}

/** The first of these places that is invoked at or after a moment. */
function firstAtOrAfter(places, invoke, time) {
  let [from, to] = [0, places.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (invoke[places[middle]] < time) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Faults in as few rows as possible, none over another. */
function stacked(faults) {
  const rows = [];
  for (const fault of faults) {
    const row = rows.find((row) => row[row.length - 1].end <= fault.start);
    if (row) row.push(fault);
    else if (rows.length < 24) rows.push([fault]);
    else rows[rows.length - 1].push(fault);
  }
  return rows;
}

/** How each node stood, from line to line. */
function nodeSpans(header) {
  const nodes = new Map();
  for (const line of header.nodes) {
    const node = nodes.get(line.node) ?? { number: line.node, spans: [] };
    nodes.set(line.node, node);
    const before = node.spans[node.spans.length - 1];
    if (before) before.to = line.time;
    node.spans.push({ from: line.time, to: header.end, line });
  }
  const sorted = [...nodes.values()].sort((a, b) => a.number - b.number);
  for (const node of sorted) node.starts = Float64Array.from(node.spans, (span) => span.from);
  return sorted;
}
