// Levels of detail: what is drawn of a lane when more operations are in view than there are pixels.
//
//   level 0   ▂▂▅▂▂▂▂▇▂▂▂▂▂▂▂▂   for each stretch of time the outcomes that occur in it, as bits
//   level 1   ▂▅▂▇▂▂▂▂           two stretches of the level below
//   level 2   ▅▇▂▂               …

/** Outcomes over time on one lane. */
class LaneLevels {
  constructor(operations, places, start, span) {
    const wanted = clamp(places.length / 2, 256, 65536);
    const count = 1 << Math.ceil(Math.log2(wanted));
    this.start = start;
    this.step = span / count;
    const finest = new Uint8Array(count);
    for (let nth = 0; nth < places.length; nth++) {
      const place = places[nth];
      const bit = 1 << (operations.kind[place] >> 4);
      const from = Math.floor((operations.invoke[place] - start) / this.step);
      const to = Math.floor((drawnEnd(operations, places, nth) - start) / this.step);
      for (let at = Math.max(from, 0); at <= to && at < count; at++) finest[at] |= bit;
    }
    this.levels = [finest];
    for (let below = finest; below.length > 64; ) {
      const level = new Uint8Array(below.length >> 1);
      for (let at = 0; at < level.length; at++) level[at] = below[2 * at] | below[2 * at + 1];
      this.levels.push((below = level));
    }
  }

  /** The outcomes in a stretch of time, from the coarsest level that tells them apart at this width. */
  at(from, to) {
    const depth = clamp(Math.floor(Math.log2((to - from) / this.step)), 0, this.levels.length - 1);
    const level = this.levels[depth];
    const step = this.step * 2 ** depth;
    let bits = 0;
    const last = Math.min(Math.floor((to - this.start) / step), level.length - 1);
    for (let at = Math.max(Math.floor((from - this.start) / step), 0); at <= last; at++) bits |= level[at];
    return bits;
  }
}

/** Where an operation's bar ends. One without a known end reaches to the next of its lane, or a little further. */
function drawnEnd(operations, places, nth) {
  const end = operations.end[places[nth]];
  if (!Number.isNaN(end)) return end;
  return nth + 1 < places.length ? operations.invoke[places[nth + 1]] : operations.header.end;
}

/** How long the longest bar of these operations is. */
function longestDrawn(operations, places) {
  let longest = 0;
  for (let nth = 0; nth < places.length; nth++) longest = Math.max(longest, drawnEnd(operations, places, nth) - operations.invoke[places[nth]]);
  return longest;
}

/** How many operations of each latency there were in each stretch of time. */
class LatencyLevels {
  constructor(operations, start, span) {
    this.start = start;
    [this.low, this.high] = latencyExtent(operations);
    const count = 1 << clamp(Math.ceil(Math.log2(operations.count / 8 + 1)), 8, 14);
    this.step = span / count;
    const finest = new Uint16Array(count * BINS);
    for (let place = 0; place < operations.count; place++) {
      if (!operations.isAnswered(place)) continue;
      const column = clamp(Math.floor((operations.invoke[place] - start) / this.step), 0, count - 1);
      const cell = column * BINS + this.bin(operations.latency(place));
      if (finest[cell] < 0xffff) finest[cell]++;
    }
    this.levels = [finest];
    for (let below = finest; below.length > 64 * BINS; ) {
      const level = new Uint16Array(below.length >> 1);
      for (let column = 0; column * BINS < level.length; column++) {
        for (let bin = 0; bin < BINS; bin++) {
          const sum = below[2 * column * BINS + bin] + below[(2 * column + 1) * BINS + bin];
          level[column * BINS + bin] = Math.min(sum, 0xffff);
        }
      }
      this.levels.push((below = level));
    }
  }

  /** Which of the bins, evenly spread over the logarithm, a latency is in. */
  bin(ns) {
    return clamp(Math.floor(this.height(ns) * BINS), 0, BINS - 1);
  }

  /** From 0, the shortest, to 1. */
  height(ns) {
    return (Math.log10(Math.max(ns, 1)) - this.low) / (this.high - this.low);
  }

  /** The latency in the middle of a bin. */
  middle(bin) {
    return 10 ** (this.low + ((bin + 0.5) / BINS) * (this.high - this.low));
  }

  /** The level whose stretches are as wide as this or a little narrower: its cells and their width. */
  level(width) {
    const depth = clamp(Math.floor(Math.log2(width / this.step)), 0, this.levels.length - 1);
    return { cells: this.levels[depth], step: this.step * 2 ** depth };
  }
}

const BINS = 96;

/** Whole decades around all latencies, as logarithms. */
function latencyExtent(operations) {
  let [low, high] = [Infinity, 0];
  for (let place = 0; place < operations.count; place++) {
    const latency = operations.latency(place);
    if (latency < low) low = latency;
    if (latency > high) high = latency;
  }
  if (low > high) return [5, 9];
  const floor = Math.floor(Math.log10(Math.max(low, 1)));
  return [floor, Math.max(Math.ceil(Math.log10(Math.max(high, 1))), floor + 1)];
}

/** Everything that is computed once from the operations. */
class Index {
  constructor(operations) {
    this.operations = operations;
    const { start, end, lanes } = operations.header;
    const byLane = new Groups(operations.lane, lanes.length);
    this.places = lanes.map((_, lane) => byLane.of(lane));
    this.lanes = this.places.map((places) => new LaneLevels(operations, places, start, end - start));
    // Only where clients share a lane may an operation be drawn beyond the next one's beginning.
    this.longest = this.places.map((places) => (operations.header.fold ? longestDrawn(operations, places) : 0));
    this.latencies = new LatencyLevels(operations, start, end - start);
    this.readEnds();
  }

  /** Successes by their moment, answers counted up by invocation, and what did not succeed. */
  readEnds() {
    const { operations } = this;
    const ok = new Float64Array(operations.count);
    this.answered = new Uint32Array(operations.count + 1);
    const troubles = [];
    let count = 0;
    let sorted = true;
    for (let place = 0; place < operations.count; place++) {
      const outcome = operations.outcome(place);
      if (outcome === 0) {
        sorted &&= count === 0 || operations.end[place] >= ok[count - 1];
        ok[count++] = operations.end[place];
      } else if (outcome > 1) {
        troubles.push(place);
      }
      this.answered[place + 1] = this.answered[place] + (outcome < 2 ? 1 : 0);
    }
    this.ok = ok.slice(0, count);
    if (!sorted) this.ok.sort();
    this.troubles = Uint32Array.from(troubles);
    this.gaps = longGaps(this.ok, operations.header);
  }

  /** Which of a lane's operations is the first that may be drawn at a moment or later; not endlessly far back. */
  firstDrawn(lane, time) {
    const { invoke } = this.operations;
    const places = this.places[lane];
    const next = firstAtOrAfter(places, invoke, time);
    const early = firstAtOrAfter(places, invoke, time - this.longest[lane]);
    return Math.max(Math.min(early, next - 1), next - SINGLE_MAX, 0);
  }

  /** The places of all operations on the same key, in order; made at the first question. */
  onKey(key) {
    this.byKey ??= new Groups(this.operations.key, this.operations.textOffsets.length);
    return this.byKey.of(key);
  }
}

/** For each group its members' places, in order: one array for all, and where each group's part begins. */
class Groups {
  constructor(groups, count) {
    this.begins = new Uint32Array(count + 1);
    for (let place = 0; place < groups.length; place++) this.begins[groups[place] + 1]++;
    for (let group = 0; group < count; group++) this.begins[group + 1] += this.begins[group];
    const next = this.begins.slice();
    this.members = new Uint32Array(groups.length);
    for (let place = 0; place < groups.length; place++) this.members[next[groups[place]]++] = place;
  }

  of(group) {
    return this.members.subarray(this.begins[group], this.begins[group + 1]);
  }
}

/** Stretches under load without any success, the longest first: at least a quarter of a second, and ten times the usual distance. */
function longGaps(ok, header) {
  const load = header.phases.length ? [header.phases[0][1], header.phases[2][2]] : [header.start, header.end];
  const least = Math.max(2.5e8, (10 * (load[1] - load[0])) / (ok.length + 1));
  const gaps = [];
  let before = load[0];
  const from = lowerBound(ok, load[0]);
  for (let at = from; at <= ok.length && before < load[1]; at++) {
    const next = at < ok.length ? Math.min(ok[at], load[1]) : load[1];
    if (next - before >= least) gaps.push([before, next]);
    before = next;
  }
  return gaps.sort((a, b) => b[1] - b[0] - (a[1] - a[0])).slice(0, 1000);
}
