// The curves: latency, throughput, availability.

/** Answered operations that are drawn as single points; of more, how many there are of each latency. */
const POINTS_MAX = 20000;

/** Pixels of a stretch of time in which percentiles and rates are counted. */
const STRETCH = 8;

/** In shorter stretches a rate says nothing, nanoseconds. */
const RATE_STRETCH = 1e7;

/** Stretches of so many pixels, beginning at multiples of their width so that they stay when the view moves. */
function stretches(view, pixels = STRETCH, least = 0) {
  const width = Math.max(view.scale * pixels, least);
  const first = Math.floor(view.from / width);
  const last = Math.ceil(view.to / width);
  return { width, first, last };
}

function drawLatency(board, row) {
  const { context, view, operations, index, colours } = board;
  const { latencies } = index;
  const y = (ns) => row.y + row.height * (1 - latencies.height(ns));
  context.font = SMALL;
  for (let power = latencies.low; power <= latencies.high; power++) {
    const at = Math.round(y(10 ** power));
    context.fillStyle = colours.line;
    context.fillRect(view.left, at, view.right - view.left, 0.5);
    if (power < latencies.high || latencies.high - latencies.low < 3) axisName(board, duration(10 ** power).replace(/\.0+ /, ' '), at);
  }
  const from = lowerBound(operations.invoke, view.from);
  const to = lowerBound(operations.invoke, view.to);
  context.save();
  context.beginPath();
  context.rect(view.left, row.y, view.right - view.left, row.height);
  context.clip();
  const single = to - from <= POINTS_MAX;
  if (single) drawPoints(board, from, to, y);
  else drawDensity(board, row);
  drawTroubles(board, y);
  drawPercentiles(board, y, single ? exactPercentiles(board, from, to) : binnedPercentiles(board));
  context.restore();
}

function axisName(board, text, y) {
  const { context, view, colours, narrow } = board;
  context.fillStyle = colours.quiet;
  context.textAlign = narrow ? 'left' : 'right';
  context.fillText(text, narrow ? 4 : view.left - 6, y + (narrow ? -6 : 0));
}

function drawPoints(board, from, to, y) {
  const { context, view, operations, colours } = board;
  context.globalAlpha = to - from < 2000 ? 0.8 : 0.45;
  for (const outcome of [0, 1]) {
    context.fillStyle = colours[OUTCOMES[outcome]];
    for (let place = from; place < to; place++) {
      if (operations.outcome(place) !== outcome) continue;
      context.fillRect(view.x(operations.invoke[place]) - 1, y(operations.latency(place)) - 1, 2.4, 2.4);
    }
  }
  context.globalAlpha = 1;
}

/** How many operations there are of each latency at each time, as an image that is stretched over the lane. */
function drawDensity(board, row) {
  const { context, view, index, colours } = board;
  const { cells, step } = index.latencies.level(view.scale * 2);
  const { start } = index.latencies;
  const first = clamp(Math.floor((view.from - start) / step), 0, cells.length / BINS - 1);
  const last = clamp(Math.ceil((view.to - start) / step), first + 1, cells.length / BINS);
  const image = new ImageData(last - first, BINS);
  const [red, green, blue] = channels(context, colours.ok);
  for (let column = first; column < last; column++) {
    for (let bin = 0; bin < BINS; bin++) {
      const count = cells[column * BINS + bin];
      if (count === 0) continue;
      const at = 4 * ((BINS - 1 - bin) * (last - first) + column - first);
      image.data[at] = red;
      image.data[at + 1] = green;
      image.data[at + 2] = blue;
      image.data[at + 3] = 50 + Math.min(45 * Math.log2(count + 1), 205);
    }
  }
  board.scratch ??= document.createElement('canvas');
  board.scratch.width = last - first;
  board.scratch.height = BINS;
  board.scratch.getContext('2d').putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  const left = view.x(start + first * step);
  context.drawImage(board.scratch, left, row.y, view.x(start + last * step) - left, row.height);
}

/** The red, green and blue of a colour of the style sheet. */
function channels(context, colour) {
  context.fillStyle = colour;
  const number = parseInt(context.fillStyle.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

/** Operations that failed or stayed unknown, as crosses; of too many, evenly some. */
function drawTroubles(board, y) {
  const { context, view, operations, index, colours } = board;
  const { troubles } = index;
  const from = firstAtOrAfter(troubles, operations.invoke, view.from);
  const to = firstAtOrAfter(troubles, operations.invoke, view.to);
  const every = Math.ceil((to - from) / 3000) || 1;
  context.lineWidth = 1.4;
  for (const outcome of [2, 3]) {
    context.strokeStyle = colours[OUTCOMES[outcome]];
    context.beginPath();
    for (let nth = from; nth < to; nth += every) {
      const place = troubles[nth];
      const latency = operations.latency(place);
      if (operations.outcome(place) !== outcome || Number.isNaN(latency)) continue;
      const [left, top] = [view.x(operations.invoke[place]), y(latency)];
      context.moveTo(left - 3, top - 3);
      context.lineTo(left + 3, top + 3);
      context.moveTo(left - 3, top + 3);
      context.lineTo(left + 3, top - 3);
    }
    context.stroke();
  }
}

/** For each stretch its moment, p50 and p99: of the operations themselves. */
function exactPercentiles(board, from, to) {
  const { view, operations } = board;
  const { width } = stretches(view, 2 * STRETCH);
  const found = [];
  for (let place = from; place < to; ) {
    const stretch = Math.floor(operations.invoke[place] / width);
    const latencies = [];
    for (; place < to && Math.floor(operations.invoke[place] / width) === stretch; place++) {
      if (operations.isAnswered(place)) latencies.push(operations.latency(place));
    }
    if (latencies.length < 4) continue;
    latencies.sort((a, b) => a - b);
    const at = (share) => latencies[Math.min(Math.ceil(share * latencies.length), latencies.length) - 1];
    found.push([(stretch + 0.5) * width, at(0.5), at(0.99), latencies.length]);
  }
  return found;
}

/** The same from the counts, as exact as their bins. */
function binnedPercentiles(board) {
  const { view, index } = board;
  const { latencies } = index;
  const { cells, step } = latencies.level(view.scale * STRETCH);
  const first = Math.max(Math.floor((view.from - latencies.start) / step), 0);
  const last = Math.min(Math.ceil((view.to - latencies.start) / step), cells.length / BINS);
  const found = [];
  for (let column = first; column < last; column++) {
    const counts = cells.subarray(column * BINS, (column + 1) * BINS);
    const all = counts.reduce((sum, count) => sum + count, 0);
    if (all < 4) continue;
    const at = (share) => {
      let left = Math.ceil(share * all);
      const bin = counts.findIndex((count) => (left -= count) <= 0);
      return latencies.middle(bin);
    };
    found.push([latencies.start + (column + 0.5) * step, at(0.5), at(0.99), all]);
  }
  return found;
}

function drawPercentiles(board, y, found) {
  const { context, view, colours } = board;
  board.percentiles = found;
  const step = found.reduce((least, [time], place) => (place ? Math.min(least, time - found[place - 1][0]) : least), Infinity);
  for (const [part, name] of [[1, 'p50'], [2, 'p99']]) {
    context.strokeStyle = colours[name];
    context.lineWidth = 1.8;
    context.setLineDash(name === 'p99' ? [5, 3] : []);
    context.beginPath();
    let before = -Infinity;
    for (const stretch of found) {
      // Where there was nothing, there is no line.
      const joined = stretch[0] - before <= 2.5 * step;
      context[joined ? 'lineTo' : 'moveTo'](view.x(stretch[0]), y(stretch[part]));
      before = stretch[0];
    }
    context.stroke();
  }
  context.setLineDash([]);
}

/** Successes a second around a moment. */
function rateAt(board, from, to) {
  const { ok } = board.index;
  const { total, kept } = board.operations.header;
  return ((lowerBound(ok, to) - lowerBound(ok, from)) / (to - from)) * 1e9 * (total / Math.max(kept, 1));
}

function drawThroughput(board, row) {
  const { context, view, colours } = board;
  const { width, first, last } = stretches(view, STRETCH, RATE_STRETCH);
  const rates = [];
  let highest = 1;
  for (let stretch = first; stretch < last; stretch++) {
    const rate = rateAt(board, stretch * width, (stretch + 1) * width);
    highest = Math.max(highest, rate);
    rates.push(rate);
  }
  const top = niceAbove(highest);
  context.font = SMALL;
  for (const share of [0, 0.5, 1]) {
    const at = Math.round(row.y + row.height * (1 - share));
    context.fillStyle = colours.line;
    context.fillRect(view.left, at, view.right - view.left, 0.5);
    if (share > 0) axisName(board, top * share < 10 ? (top * share).toPrecision(2) : grouped(top * share), at + (share === 1 ? 6 : 0));
  }
  context.fillStyle = colours.ok;
  context.globalAlpha = 0.75;
  rates.forEach((rate, place) => {
    const [left, right] = board.clipped((first + place) * width, (first + place + 1) * width);
    const height = (row.height * rate) / top;
    if (right > left) context.fillRect(left, row.y + row.height - height, right - left - 0.5, height);
  });
  context.globalAlpha = 1;
}

function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 5, 7.5, 10].find((factor) => factor * power >= value);
}

/** Of the operations invoked in a stretch of time, how many, and the share that was answered. */
function answeredIn(board, from, to) {
  const { operations, index } = board;
  const first = lowerBound(operations.invoke, from);
  const last = lowerBound(operations.invoke, to);
  const all = last - first;
  return { all, share: all ? (index.answered[last] - index.answered[first]) / all : NaN };
}

function drawAvailability(board, row) {
  const { context, view, index, colours } = board;
  const { width, first, last } = stretches(view, STRETCH, RATE_STRETCH);
  context.font = SMALL;
  axisName(board, '100 %', row.y + 6);
  axisName(board, '0 %', row.y + row.height - 6);
  for (let stretch = first; stretch < last; stretch++) {
    const { all, share } = answeredIn(board, stretch * width, (stretch + 1) * width);
    if (all === 0) continue;
    const [left, right] = board.clipped(stretch * width, (stretch + 1) * width);
    if (right <= left) continue;
    context.fillStyle = colours.ok;
    context.globalAlpha = 0.75;
    context.fillRect(left, row.y + row.height * (1 - share), right - left - 0.5, row.height * share);
    context.globalAlpha = 1;
    context.fillStyle = colours.fail;
    context.fillRect(left, row.y, right - left - 0.5, row.height * (1 - share));
  }
  for (const [from, to] of index.gaps) {
    if (to < view.from || from > view.to) continue;
    const [left, right] = board.clipped(from, to);
    if (right - left < 1) continue;
    context.fillStyle = colours.panel;
    context.globalAlpha = 0.5;
    context.fillRect(left, row.y, right - left, row.height);
    context.globalAlpha = 1;
    board.hatch(left, row.y, right - left, row.height, colours.impossible);
    board.inside('no success for ' + duration(to - from), left + 4, row, right - left - 8, colours.text, duration(to - from));
  }
}
