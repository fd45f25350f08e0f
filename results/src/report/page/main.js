// Brings it together: reads the data, draws, and listens to pointer, wheel, keys and links.

let board = null;
let colours = null;
let frame = 0;

/** Draws everything anew with the next frame. */
function redraw() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    draw();
  });
}

function draw() {
  const { view } = board;
  // The lanes' canvas is as wide as its part of the frame; the others are as wide, so that all share one axis.
  board.arrange(Math.floor(byId('lanes').parentElement.getBoundingClientRect().width - (byId('details').hidden || isNarrow() ? 0 : DETAILS_WIDTH)));
  board.draw(byId('lanes'), colours);
  drawAxis(view);
  drawOverview(view);
  byId('range').textContent = moment(Math.max(view.from, 0), view.width) + ' – ' + moment(view.to, view.width) + ' (' + duration(view.width) + ')';
}

const DETAILS_WIDTH = 340;
const isNarrow = () => window.innerWidth < 900;

function drawAxis(view) {
  const context = prepared(byId('axis'), board.width, 34);
  context.font = SMALL;
  context.textBaseline = 'middle';
  const { moments, step } = ticks(view, 110);
  context.fillStyle = colours.quiet;
  context.textAlign = 'center';
  for (const time of moments) {
    const x = view.x(time);
    context.fillRect(x, 28, 1, 6);
    const digits = clamp(Math.ceil(9 - Math.log10(step)), 0, 9);
    const text = (time / 1e9).toFixed(digits) + ' s';
    const half = context.measureText(text).width / 2;
    if (x - half > view.left && x + half < view.right) context.fillText(text, x, 22);
  }
  context.textAlign = 'left';
  for (const [name, from, to] of board.operations.header.phases) {
    if (to <= view.from || from >= view.to) continue;
    const [left, right] = board.clipped(from, to);
    const room = right - left - 8;
    context.fillStyle = colours.line;
    context.fillRect(left, 1, 1, 12);
    context.fillStyle = colours.text;
    if (context.measureText(name).width <= room) context.fillText(name, left + 5, 7);
  }
}

const OVERVIEW_HEIGHT = 38;

/** The whole run as a strip of successes, with the part that is shown. */
function drawOverview(view) {
  const context = prepared(byId('overview'), board.width, OVERVIEW_HEIGHT);
  const whole = new View(board.operations.header.start, board.operations.header.end);
  [whole.left, whole.right] = [view.left, view.right];
  context.fillStyle = colours.band;
  context.fillRect(view.left, 0, view.right - view.left, OVERVIEW_HEIGHT);
  const rates = [];
  for (let x = view.left; x < view.right; x += 2) rates.push(rateAt(board, whole.time(x), whole.time(x + 2)));
  const highest = rates.reduce((a, b) => Math.max(a, b), 1);
  context.fillStyle = colours.ok;
  context.globalAlpha = 0.55;
  rates.forEach((rate, place) => {
    const height = (rate / highest) * (OVERVIEW_HEIGHT - 8);
    context.fillRect(view.left + 2 * place, OVERVIEW_HEIGHT - height, 2, height);
  });
  context.fillStyle = colours.fault;
  context.globalAlpha = 0.8;
  for (const fault of board.operations.header.faults) context.fillRect(whole.x(fault.start), 0, Math.max((fault.end - fault.start) / whole.scale, 1), 4);
  context.globalAlpha = 1;
  context.fillStyle = colours.impossible;
  for (const place of board.violation) context.fillRect(whole.x(board.operations.invoke[place]) - 1, 0, 3, OVERVIEW_HEIGHT);
  const [left, right] = [whole.x(view.from), whole.x(view.to)];
  context.fillStyle = colours.panel;
  context.globalAlpha = 0.6;
  context.fillRect(view.left, 0, Math.max(left - view.left, 0), OVERVIEW_HEIGHT);
  context.fillRect(right, 0, Math.max(view.right - right, 0), OVERVIEW_HEIGHT);
  context.globalAlpha = 1;
  context.strokeStyle = colours.chosen;
  context.lineWidth = 2;
  context.strokeRect(left + 1, 1, Math.max(right - left - 2, 2), OVERVIEW_HEIGHT - 2);
  board.wholeView = whole;
  byId('overview').setAttribute('aria-valuenow', String(Math.round(((view.from - view.start) / (view.end - view.start)) * 100)));
  byId('overview').setAttribute('aria-valuetext', moment(Math.max(view.from, 0)) + ' to ' + moment(view.to));
}

/** Chooses an operation by its place, -1 for none; `seek` brings it into view. */
function choose(place, seek = false) {
  board.chosen = place;
  if (place < 0) {
    byId('details').hidden = true;
    byId('split').classList.remove('open');
    history.replaceState(null, '', location.pathname + location.search);
  } else {
    showDetails(board, place);
    history.replaceState(null, '', '#op=' + board.operations.numberOf(place));
    if (seek) bringIntoView(place);
  }
  redraw();
}

/** Leaves the view where it is if the operation can be seen in it. */
function bringIntoView(place) {
  const { view, operations } = board;
  const invoke = operations.invoke[place];
  const length = (Number.isNaN(operations.end[place]) ? 0 : operations.end[place] - invoke) || 1e6;
  if (length / view.scale < 6 || invoke < view.from || invoke + length > view.to) view.show(invoke - 12 * length, invoke + 13 * length);
  showLane(place);
}

/** Scrolls so far that the operation's lane is on the screen. */
function showLane(place) {
  board.arrange(board.width);
  const row = board.rows.find((row) => row.kind === 'client' && row.lane === board.operations.lane[place]);
  const top = byId('lanes').getBoundingClientRect().top + row.y;
  const under = document.querySelector('.sticky').getBoundingClientRect().height;
  if (top < under + 4 || top + row.height > window.innerHeight) window.scrollBy(0, top - Math.max(under + 40, window.innerHeight / 3));
}

function jumpToViolation() {
  const { violation, operations, view } = board;
  if (!violation.length) return;
  const from = Math.min(...violation.map((place) => operations.invoke[place]));
  // The last answer is the one after which no order is left.
  const answered = violation.filter((place) => operations.outcome(place) < 3).sort((a, b) => operations.end[a] - operations.end[b]);
  const last = answered.pop() ?? violation[0];
  const to = Math.max(from + 1000, operations.end[last] || 0);
  view.show(from - (to - from) * 0.3, to + (to - from) * 0.3);
  choose(last);
  byId('board').scrollIntoView();
  showLane(last);
}

/** The next or previous of some sorted places, from the chosen one or from the left edge of the view. */
function step(places, by) {
  if (!places.length) return;
  const { view, operations, chosen } = board;
  let nth;
  if (chosen >= 0) nth = lowerBound(places, chosen) + (by > 0 ? (places[lowerBound(places, chosen)] === chosen ? 1 : 0) : -1);
  else nth = firstAtOrAfter(places, operations.invoke, view.from);
  if (nth >= 0 && nth < places.length) choose(places[nth], true);
}

function stepInLane(by) {
  const { operations, index, chosen } = board;
  step(index.places[chosen >= 0 ? operations.lane[chosen] : 0] ?? [], by);
}

function stepOnKey(by) {
  if (board.chosen >= 0) step(board.index.onKey(board.operations.key[board.chosen]), by);
}

/** Follows `#op=812`; says so where there is no such operation. */
function followLink() {
  const wanted = /^#op=(\d{1,10})$/.exec(location.hash);
  if (wanted) goTo(Number(wanted[1]));
}

/** A link to the operation that the address names already changes nothing there, and is followed all the same. */
function followAgain(event) {
  const link = event.target.closest('a[href^="#op="]');
  // Of a link in a drawing, `href` is no text.
  if (link && link.getAttribute('href') === location.hash) followLink();
}

function goTo(number) {
  const place = board.operations.placeOf(number);
  if (place >= 0) {
    choose(place, true);
    if (byId('lanes').getBoundingClientRect().bottom < 0 || byId('lanes').getBoundingClientRect().top > window.innerHeight) byId('board').scrollIntoView();
    showLane(place);
    say('');
  } else {
    const { total, kept } = board.operations.header;
    say(number < total && kept < total ? 'Operation ' + number + ' is not among those that are kept in this report.' : 'There is no operation ' + number + '.');
  }
}

function say(text) {
  byId('status').textContent = text;
  byId('status').hidden = text === '';
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  repaint();
}

function repaint() {
  colours = readColours();
  drawLegend();
  redraw();
}

const KEY_ACTIONS = {
  '+': () => board.view.zoom(0.5),
  '=': () => board.view.zoom(0.5),
  '-': () => board.view.zoom(2),
  ArrowLeft: () => board.view.move(-board.view.width / 5),
  ArrowRight: () => board.view.move(board.view.width / 5),
  0: () => board.view.whole(),
  v: jumpToViolation,
  e: () => step(board.index.troubles, 1),
  n: () => stepInLane(1),
  p: () => stepInLane(-1),
  k: () => stepOnKey(1),
  j: () => stepOnKey(-1),
  z: () => {
    if (board.chosen < 0) return;
    const { invoke, end } = board.operations;
    const length = (Number.isNaN(end[board.chosen]) ? 0 : end[board.chosen] - invoke[board.chosen]) || 1e6;
    board.view.show(invoke[board.chosen] - length, invoke[board.chosen] + 2 * length);
  },
  t: toggleTheme,
  Escape: () => choose(-1),
  '?': () => byId('keys').showModal(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, dialog')) return;
  // Elsewhere the arrows scroll what has the focus.
  if (event.key.startsWith('Arrow') && event.target.closest('.scroll, .drawing, pre')) return;
  const action = Object.hasOwn(KEY_ACTIONS, event.key) ? KEY_ACTIONS[event.key] : null;
  if (!action) return;
  event.preventDefault();
  action();
}

/** Drag, pinch, hover and click on the lanes. */
function listenToLanes() {
  const canvas = byId('lanes');
  const { view } = board;
  const pointers = new Map();
  let moved = 0;
  const place = (event) => [event.offsetX, event.offsetY];
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 1) moved = 0;
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return hover(event);
    const now = place(event);
    if (pointers.size === 1) {
      moved += Math.abs(now[0] - before[0]);
      if (moved > 3) view.move((before[0] - now[0]) * view.scale);
    } else {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const factor = Math.max(Math.abs(before[0] - other[0]), 8) / Math.max(Math.abs(now[0] - other[0]), 8);
      moved += 10;
      view.zoom(factor, view.time((now[0] + other[0]) / 2));
    }
    pointers.set(event.pointerId, now);
  });
  const released = (event) => {
    const clicked = pointers.size === 1 && moved <= 3 && event.type === 'pointerup';
    pointers.delete(event.pointerId);
    if (!clicked) return;
    const found = underPointer(board, ...place(event)).place;
    if (found >= 0 || board.chosen >= 0) choose(found);
  };
  canvas.addEventListener('pointerup', released);
  canvas.addEventListener('pointercancel', released);
  canvas.addEventListener('pointerleave', () => hoverNothing());
  canvas.addEventListener('dblclick', (event) => view.zoom(0.25, view.time(event.offsetX)));
  canvas.addEventListener('wheel', (event) => onWheel(event, document.activeElement === canvas), { passive: false });
}

function hover(event) {
  const { lines, place } = underPointer(board, event.offsetX, event.offsetY);
  showTooltip(lines, event);
  byId('lanes').classList.toggle('pointing', place >= 0);
  if (place !== board.hovered) {
    board.hovered = place;
    redraw();
  }
}

function hoverNothing() {
  showTooltip(null);
  if (board.hovered >= 0) {
    board.hovered = -1;
    redraw();
  }
}

/** Sideways moves; up and down zooms where that was asked for, and else scrolls the page. */
function onWheel(event, zooms) {
  const { view } = board;
  const lines = event.deltaMode === 1 ? 16 : 1;
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    view.move(event.deltaX * lines * view.scale);
  } else if (event.ctrlKey || event.metaKey || zooms) {
    event.preventDefault();
    view.zoom(2 ** clamp((event.deltaY * lines) / 240, -1, 1), view.time(event.offsetX));
  }
}

/** On the strip: drag chooses a part, a drag inside of it moves it. */
function listenToOverview() {
  const canvas = byId('overview');
  const { view } = board;
  let drag = null;
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    const time = board.wholeView.time(event.offsetX);
    drag = { time, inside: !view.isWhole && time > view.from && time < view.to, from: view.from, to: view.to, moved: false };
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!drag) return;
    const time = board.wholeView.time(event.offsetX);
    drag.moved ||= Math.abs(time - drag.time) > 3 * board.wholeView.scale;
    if (!drag.moved) return;
    if (drag.inside) view.move(drag.from + time - drag.time - view.from);
    else view.show(Math.min(drag.time, time), Math.max(drag.time, time));
  });
  canvas.addEventListener('pointerup', () => {
    // A click brings its moment into the middle.
    if (drag && !drag.moved) view.move(drag.time - (view.from + view.to) / 2);
    drag = null;
  });
  canvas.addEventListener('wheel', (event) => onWheel(event, true), { passive: false });
}

function listenToButtons() {
  const { view } = board;
  const actions = {
    'zoom-in': () => view.zoom(0.5),
    'zoom-out': () => view.zoom(2),
    left: () => view.move(-view.width / 3),
    right: () => view.move(view.width / 3),
    whole: () => view.whole(),
    violation: jumpToViolation,
    help: () => byId('keys').showModal(),
    'keys-close': () => byId('keys').close(),
  };
  for (const [id, action] of Object.entries(actions)) byId(id)?.addEventListener('click', action);
  byId('number').addEventListener('keydown', (event) => {
    const number = event.key === 'Enter' && /^\s*#?(\d{1,10})\s*$/.exec(event.target.value);
    if (number) goTo(Number(number[1]));
  });
}

/** Works without the operations, too. */
function listenToStory() {
  byId('theme').addEventListener('click', toggleTheme);
  const copy = byId('copy');
  if (!copy) return;
  copy.hidden = false;
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(byId('replay').textContent);
      copy.textContent = 'Copied';
    } catch {
      getSelection().selectAllChildren(byId('replay'));
      copy.textContent = 'Selected';
    }
    setTimeout(() => (copy.textContent = 'Copy'), 1500);
  });
}

/** What the colours mean, each with the shape that goes with it. */
function drawLegend() {
  const entries = [
    ['ok', 'ok'],
    ['mismatch', 'not equal (cas)'],
    ['fail', 'failed: not done'],
    ['info', 'unknown outcome'],
  ];
  if (board.nodes.length) {
    const states = new Set(board.operations.header.nodes.flatMap((line) => [line.state === 'up' ? (line.role ?? 'candidate') : line.state, ...(line.cut_from?.length ? ['cut'] : [])]));
    for (const name of ['leader', 'follower', 'candidate', 'paused', 'down', 'crashed', 'cut']) {
      if (states.has(name)) entries.push([name, name === 'cut' ? 'links cut' : name]);
    }
  }
  entries.push(['p50', 'p50'], ['p99', 'p99']);
  if (board.violation.length) entries.push(['impossible', 'counterexample']);
  byId('legend').replaceChildren(
    ...entries.map(([name, words]) => {
      const item = make('li');
      item.append(make('span', '', 'swatch ' + name), words);
      return item;
    }),
  );
}

/** What is not shown, and why. */
function tellRemarks(header) {
  const remarks = [];
  if (header.fold) remarks.push('There are more clients than lanes: several share one.');
  const [faults, lines] = header.left_out;
  if (faults) remarks.push(grouped(faults) + ' later faults are not drawn.');
  if (lines) remarks.push(grouped(lines) + ' later changes of nodes are not drawn.');
  byId('remarks').replaceChildren(...remarks.map((text) => make('li', text)));
}

async function begin() {
  listenToStory();
  const operations = await readData();
  const view = new View(operations.header.start, operations.header.end);
  board = new Board(new Index(operations), view);
  view.listeners.push(redraw);
  colours = readColours();
  byId('frame').hidden = false;
  say('');
  drawLegend();
  tellRemarks(operations.header);
  listenToLanes();
  listenToOverview();
  listenToButtons();
  document.addEventListener('keydown', onKey);
  window.addEventListener('hashchange', followLink);
  document.addEventListener('click', followAgain);
  window.addEventListener('resize', redraw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
  draw();
  expose();
  followLink();
  performance.mark('trueline-ready');
  trueline.readyMs = performance.now();
  trueline.ready = true;
}

/** For tests and the curious. */
function expose() {
  const { view, operations } = board;
  trueline.choose = choose;
  trueline.range = () => [view.from, view.to];
  trueline.count = operations.count;
  trueline.chosen = () => (board.chosen < 0 ? null : operations.numberOf(board.chosen));
  /** Where an operation is on the lanes' canvas. */
  trueline.positionOf = (number) => {
    const place = operations.placeOf(number);
    const row = board.rows.find((row) => row.kind === 'client' && row.lane === operations.lane[place]);
    return { x: view.x(operations.invoke[place]), end: view.x(operations.end[place]), y: row.y + row.height / 2 };
  };
  /** Milliseconds that drawing everything takes. */
  trueline.drawTime = () => {
    const start = performance.now();
    draw();
    return performance.now() - start;
  };
}

begin().catch((error) => {
  trueline.errors.push(String(error));
  say('The lanes cannot be shown: ' + error.message);
});
