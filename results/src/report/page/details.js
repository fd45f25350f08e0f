// What is told of one operation: in the tooltip shortly, beside the lanes in full with its conflicts.

/** Operations that are listed of each kind of conflict. */
const LISTED_MAX = 12;
/** How far back conflicts are looked for, operations on the same key. */
const LOOKED_MAX = 5000;

/** Rows of a name and a value, for the tooltip and for the details. */
function factsOf(board, place) {
  const { operations } = board;
  const lane = operations.header.lanes[operations.lane[place]];
  const process = operations.process[place];
  const end = operations.end[place];
  const outcome = operations.outcome(place);
  const facts = [['Process', process + (operations.header.clients && lane.slot !== process ? ' (' + lane.name + ')' : '')]];
  if (lane.node !== null) facts.push(['Node', String(lane.node)]);
  const key = operations.text(operations.key[place]);
  if (key !== null && key !== 'null') facts.push(['Key', key]);
  facts.push(['Function', operations.functionName(place)]);
  const argument = operations.text(operations.argument[place]);
  if (operations.second[place]) facts.push(['Expected', nil(argument)], ['To set', nil(operations.text(operations.second[place]))]);
  else if (argument !== null) facts.push(['Value', nil(argument)]);
  facts.push(['Outcome', OUTCOME_WORDS[outcome]]);
  const result = operations.text(operations.result[place]);
  if (result !== null) facts.push([outcome === 1 ? 'Seen instead' : 'Result', nil(result)]);
  if (operations.reason[place]) facts.push(['Reason', operations.header.reasons[operations.reason[place] - 1]]);
  if (operations.wait) facts.push(['Meant for', moment(operations.invoke[place] - operations.wait[place])]);
  facts.push(['Invoked', moment(operations.invoke[place])]);
  if (outcome === 3) facts.push(['Given up', Number.isNaN(end) ? 'not recorded' : moment(end)]);
  else facts.push(['Returned', moment(end)]);
  if (!Number.isNaN(end)) facts.push(['Latency', duration(operations.latency(place))]);
  return facts;
}

/** Where the outcome of an operation ends to matter: never, where it is unknown. */
const effectEnd = (operations, place) => (operations.outcome(place) === 3 ? Infinity : operations.end[place]);

/** Operations on the same key: those that overlap, those just before and just after. */
function conflictsOf(board, place) {
  const { operations, index } = board;
  const places = index.onKey(operations.key[place]);
  const nth = lowerBound(places, place);
  const [invoke, end] = [operations.invoke[place], effectEnd(operations, place)];
  const found = { overlapping: [], before: [], after: [], open: 0 };
  for (let at = nth - 1; at >= 0 && nth - at < LOOKED_MAX; at--) {
    const other = places[at];
    if (operations.outcome(other) === 3) found.open++;
    else if (operations.end[other] >= invoke) found.overlapping.unshift(other);
    else if (found.before.length < 3) found.before.unshift(other);
  }
  for (let at = nth + 1; at < places.length && at - nth < LOOKED_MAX; at++) {
    const other = places[at];
    if (operations.invoke[other] <= end) found.overlapping.push(other);
    else if (found.after.length < 3) found.after.push(other);
    else break;
  }
  return found;
}

/** Fills the panel beside the lanes. */
function showDetails(board, place) {
  const { operations } = board;
  const panel = byId('details');
  panel.hidden = false;
  byId('split').classList.add('open');
  const head = make('div', undefined, 'details-head');
  const title = make('h3', 'Operation ' + operations.numberOf(place));
  const close = make('button', '✕');
  close.type = 'button';
  close.setAttribute('aria-label', 'Close the details');
  close.addEventListener('click', () => trueline.choose(-1));
  head.append(title, close);
  const words = make('p', operations.words(place) + ' → ' + operations.answer(place), 'details-words ' + OUTCOMES[operations.outcome(place)]);
  const list = make('dl');
  for (const [name, value] of factsOf(board, place)) {
    const row = make('div');
    row.append(make('dt', name), make('dd', value));
    list.append(row);
  }
  panel.replaceChildren(head, words);
  if (board.core.has(place)) panel.append(make('p', '✗ Part of the smallest counterexample.', 'details-core'));
  panel.append(list, ...conflictLists(board, place));
}

function conflictLists(board, place) {
  const { overlapping, before, after, open } = conflictsOf(board, place);
  const parts = [];
  const add = (title, places, more) => {
    if (!places.length) return;
    parts.push(make('h4', title));
    const list = make('ul', undefined, 'conflicts');
    for (const other of places.slice(0, LISTED_MAX)) list.append(linkTo(board, other));
    if (places.length > LISTED_MAX) list.append(make('li', grouped(places.length - LISTED_MAX) + ' more'));
    if (more) list.append(more);
    parts.push(list);
  };
  add('Just before on this key', before);
  add('At the same time on this key', overlapping);
  add('Just after on this key', after);
  if (open) parts.push(make('p', grouped(open) + ' earlier operation' + (open === 1 ? '' : 's') + ' on this key of unknown outcome may still take effect.', 'hint'));
  if (!parts.length) parts.push(make('p', 'No other operation on this key.', 'hint'));
  return parts;
}

function linkTo(board, place) {
  const { operations } = board;
  const item = make('li', undefined, OUTCOMES[operations.outcome(place)]);
  const link = make('a', '#' + operations.numberOf(place));
  link.href = '#op=' + operations.numberOf(place);
  item.append(link, ' ' + operations.words(place) + ' → ' + operations.answer(place));
  return item;
}

/** Shows the tooltip beside the pointer, or takes it away. */
function showTooltip(lines, event) {
  const tip = byId('tooltip');
  tip.hidden = !lines;
  if (!lines) return;
  tip.replaceChildren(...lines.map((line, place) => make(place ? 'div' : 'strong', line)));
  const { innerWidth, innerHeight } = window;
  const box = tip.getBoundingClientRect();
  const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - box.width - 10 : event.clientX + 14;
  const top = event.clientY + 16 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 16;
  tip.style.left = Math.max(left, 4) + 'px';
  tip.style.top = Math.max(top, 4) + 'px';
}

/** What is under the pointer, in lines; and the operation, if it is one. */
function underPointer(board, x, y) {
  const row = board.rowAt(y);
  const time = board.view.time(x);
  if (!row || x < board.view.left || x > board.view.right) return { lines: null, place: -1 };
  const slack = board.view.scale * 3;
  switch (row.kind) {
    case 'client': {
      const place = operationAt(board, row.lane, time, slack);
      return { lines: place < 0 ? null : operationLines(board, place), place };
    }
    case 'faults':
      return { lines: faultLines(row.faults.filter((fault) => fault.start - slack <= time && time <= fault.end + slack)), place: -1 };
    case 'node':
      return { lines: nodeLines(row.node, time), place: -1 };
    case 'latency': {
      const place = pointAt(board, row, x, y);
      return { lines: place < 0 ? percentileLines(board, time) : operationLines(board, place), place };
    }
    default:
      return { lines: rateLines(board, time), place: -1 };
  }
}

function operationLines(board, place) {
  const { operations } = board;
  const end = operations.end[place];
  const lane = operations.header.lanes[operations.lane[place]];
  return [
    '#' + operations.numberOf(place) + '  ' + operations.words(place) + ' → ' + operations.answer(place),
    'process ' + operations.process[place] + (lane.node === null ? '' : ', node ' + lane.node),
    moment(operations.invoke[place]) + (Number.isNaN(end) ? ', no end' : ', ' + duration(operations.latency(place))),
    ...(board.core.has(place) ? ['✗ part of the counterexample'] : []),
  ];
}

/** The operation of a lane at a moment, or one that is at most so far away. */
function operationAt(board, lane, time, slack) {
  const places = board.index.places[lane];
  const { operations } = board;
  const after = firstAtOrAfter(places, operations.invoke, time);
  let [best, least] = [-1, slack];
  // Of several the later one counts: it is drawn over the others.
  for (let nth = board.index.firstDrawn(lane, time - slack); nth <= after && nth < places.length; nth++) {
    const from = operations.invoke[places[nth]];
    const away = Math.max(from - time, time - drawnEnd(operations, places, nth), 0);
    if (away <= least) [best, least] = [places[nth], away];
  }
  return best;
}

/** The nearest point of the latency lane within a few pixels. */
function pointAt(board, row, x, y) {
  const { operations, view, index } = board;
  const reach = 6;
  const from = lowerBound(operations.invoke, view.time(x - reach));
  const to = Math.min(lowerBound(operations.invoke, view.time(x + reach)), from + POINTS_MAX);
  let [best, least] = [-1, reach * reach];
  for (let place = from; place < to; place++) {
    const latency = operations.latency(place);
    if (Number.isNaN(latency)) continue;
    const across = view.x(operations.invoke[place]) - x;
    const down = row.y + row.height * (1 - index.latencies.height(latency)) - y;
    const away = across * across + down * down;
    if (away < least) [best, least] = [place, away];
  }
  return best;
}

function faultLines(faults) {
  if (!faults.length) return null;
  return faults.flatMap((fault) => [
    'fault ' + fault.number + ': ' + fault.name,
    moment(fault.start) + ' to ' + moment(fault.end) + ', ' + duration(fault.end - fault.start),
    ...fault.steps.slice(0, 6).map(([at, words]) => moment(at) + '  ' + words),
  ]);
}

function nodeLines(node, time) {
  const span = node.spans[lowerBound(node.starts, time) - 1];
  if (!span) return null;
  const { line } = span;
  const role = line.role ? ', ' + line.role : '';
  return [
    'node ' + node.number + ': ' + line.state + role + (line.term ? ', term ' + line.term : ''),
    'seen from ' + moment(span.from) + ' to ' + moment(span.to),
    ...(line.cut_from?.length ? ['cut off from ' + line.cut_from.join(', ')] : []),
  ];
}

function percentileLines(board, time) {
  const found = board.percentiles ?? [];
  const nearest = found.reduce((best, one) => (!best || Math.abs(one[0] - time) < Math.abs(best[0] - time) ? one : best), null);
  if (!nearest) return null;
  return ['p50 ' + duration(nearest[1]) + ', p99 ' + duration(nearest[2]), 'around ' + moment(nearest[0]) + ', of ' + grouped(nearest[3]) + ' answered'];
}

function rateLines(board, time) {
  const { width } = stretches(board.view, STRETCH, RATE_STRETCH);
  const from = Math.floor(time / width) * width;
  const { all, share } = answeredIn(board, from, from + width);
  const lines = [grouped(rateAt(board, from, from + width)) + ' ok a second', 'from ' + moment(from) + ', ' + duration(width)];
  if (all) lines.push((share * 100).toFixed(1) + ' % of ' + grouped(all) + ' operations invoked then were answered');
  return lines;
}
