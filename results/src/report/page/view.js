// The part of the run that is shown, and where on the screen a moment is.

/** Nothing shorter is shown, nanoseconds. */
const WIDTH_MIN = 1000;

class View {
  constructor(start, end) {
    // A little room on both sides, so that nothing sticks to the edge.
    const room = (end - start) * 0.01;
    this.start = start - room;
    this.end = end + room;
    this.from = this.start;
    this.to = this.end;
    this.left = 0; // pixels of the lanes' names
    this.right = 100; // where the lanes end, pixels
    this.listeners = [];
  }

  get width() {
    return this.to - this.from;
  }

  /** Nanoseconds a pixel. */
  get scale() {
    return this.width / Math.max(this.right - this.left, 1);
  }

  x(time) {
    return this.left + (time - this.from) / this.scale;
  }

  time(x) {
    return this.from + (x - this.left) * this.scale;
  }

  /** Shows this part, or as much of it as there is. */
  show(from, to) {
    const width = clamp(to - from, WIDTH_MIN, this.end - this.start);
    const middle = (from + to) / 2;
    this.from = clamp(middle - width / 2, this.start, this.end - width);
    this.to = Math.min(this.from + width, this.end);
    if (width === this.end - this.start) [this.from, this.to] = [this.start, this.end];
    for (const listener of this.listeners) listener();
  }

  /** Makes what is shown longer by this factor, `fixed` staying where it is. */
  zoom(factor, fixed = (this.from + this.to) / 2) {
    const width = clamp(this.width * factor, WIDTH_MIN, this.end - this.start);
    const share = (fixed - this.from) / this.width;
    this.show(fixed - share * width, fixed - share * width + width);
  }

  move(ns) {
    const by = clamp(ns, this.start - this.from, this.end - this.to);
    this.show(this.from + by, this.to + by);
  }

  whole() {
    this.show(this.start, this.end);
  }

  get isWhole() {
    return this.from === this.start && this.to === this.end;
  }
}

/** Moments of an axis at most: no screen has room for more. */
const TICKS_MAX = 1000;

/** Round moments for an axis: about one in so many pixels. */
function ticks(view, pixels) {
  const rough = view.scale * pixels;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const moments = [];
  const first = Math.ceil(view.from / step) * step;
  // Times may be so huge that adding a step changes nothing.
  for (let time = first; time <= view.to && moments.length < TICKS_MAX; time += step) moments.push(time);
  return { moments, step };
}

/** Makes a canvas as fine as the screen, and clears it. */
function prepared(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = width + 'px';
    canvas.style.height = height + 'px';
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The colours of the style sheet, by their names there. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ['ok', 'mismatch', 'fail', 'info', 'text', 'ink', 'quiet', 'line', 'band', 'track', 'panel', 'impossible', 'leader', 'follower', 'candidate', 'down', 'paused', 'crashed', 'cut', 'fault', 'chosen', 'p50', 'p99'];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue('--' + name).trim()]));
}
