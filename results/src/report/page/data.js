// From the text in the page back to operations: the other half of columns.rs.

/** Bytes of a base64 text. */
function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/** What was deflated into these bytes. */
async function inflate(bytes) {
  const source = new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  const stream = source.pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Reads varints out of one column. */
class Column {
  constructor(bytes, from, length) {
    this.bytes = bytes;
    this.at = from;
    this.end = from + length;
  }

  next() {
    const { bytes } = this;
    let byte = bytes[this.at++];
    if (byte < 0x80) return byte;
    let number = byte & 0x7f;
    let factor = 0x80;
    do {
      if (this.at >= this.end) throw new Error('the data of this report are damaged: a number goes beyond its column');
      byte = bytes[this.at++];
      number += (byte & 0x7f) * factor;
      factor *= 0x80;
    } while (byte >= 0x80);
    return number;
  }
}

/** The operations of a run: arrays by place, in order of invocation. Times are nanoseconds. */
class Operations {
  constructor(header, columns) {
    const count = header.kept;
    this.header = header;
    this.count = count;
    this.invoke = new Float64Array(count);
    this.end = new Float64Array(count); // when it returned or its client gave up; NaN where nobody knows
    this.wait = header.open_loop ? new Float64Array(count) : null;
    this.number = header.kept < header.total ? new Uint32Array(count) : null;
    this.process = new Float64Array(count);
    this.lane = new Uint16Array(count);
    this.kind = new Uint8Array(count);
    this.key = new Uint32Array(count);
    this.argument = new Uint32Array(count);
    this.second = new Uint32Array(count);
    this.result = new Uint32Array(count);
    this.reason = new Uint16Array(count);
    this.readOperations(columns);
    this.readTexts(columns);
  }

  readOperations(columns) {
    const { number, invoke, wait, duration: took, process, kind, key, argument, second, result, reason } = columns;
    const laneOf = this.laneFinder();
    let named = 0;
    // Texts are numbered as they come; 0 is none, 1 the next new one, then the newest first. Here 0 is none, too.
    const text = (column) => {
      const back = column.next();
      if (back === 0) return 0;
      if (back === 1) return ++named;
      return named + 2 - back;
    };
    let [at, nth] = [0, 0];
    for (let place = 0; place < this.count; place++) {
      if (this.number) this.number[place] = nth += number.next();
      this.invoke[place] = at += invoke.next();
      if (this.wait) this.wait[place] = wait.next();
      const length = took.next();
      this.end[place] = length === 0 ? NaN : at + length - 1;
      const client = process.next();
      this.process[place] = client;
      this.lane[place] = laneOf(client);
      this.kind[place] = kind.bytes[kind.at++];
      this.key[place] = text(key);
      this.argument[place] = text(argument);
      this.second[place] = text(second);
      this.result[place] = text(result);
      this.reason[place] = reason.next();
    }
  }

  /** The texts stay bytes until they are shown. */
  readTexts({ text_length: lengths, text }) {
    const offsets = [text.at];
    while (lengths.at < lengths.end) offsets.push(offsets[offsets.length - 1] + lengths.next());
    this.textOffsets = Float64Array.from(offsets);
    this.textBytes = text.bytes;
    this.decoder = new TextDecoder();
  }

  laneFinder() {
    const { lanes, stride, fold } = this.header;
    const bySlot = new Map(lanes.map((lane, place) => [lane.slot, place]));
    return (process) => {
      const slot = stride ? process % stride : process;
      return bySlot.get(fold ? slot % fold : slot) ?? 0;
    };
  }

  outcome(place) {
    return this.kind[place] >> 4;
  }

  functionName(place) {
    return this.header.functions[this.kind[place] & 15] ?? '?';
  }

  /** The number of an operation in the run's history. */
  numberOf(place) {
    return this.number ? this.number[place] : place;
  }

  /** The place of an operation by its number; -1 if it is not kept. */
  placeOf(number) {
    if (!this.number) return number < this.count ? number : -1;
    const place = lowerBound(this.number, number);
    return this.number[place] === number ? place : -1;
  }

  /** The text with this number; null for 0, which is none. */
  text(number) {
    if (number === 0) return null;
    return this.decoder.decode(this.textBytes.subarray(this.textOffsets[number - 1], this.textOffsets[number]));
  }

  /** From the intended start to the end; NaN where there is no end. */
  latency(place) {
    return this.end[place] - this.invoke[place] + (this.wait ? this.wait[place] : 0);
  }

  /** Whether a server's answer ended it. */
  isAnswered(place) {
    return this.kind[place] >> 4 < 2;
  }

  /** What was asked, in a few words: `write k3 17`. */
  words(place) {
    const parts = [this.functionName(place)];
    const key = this.text(this.key[place]);
    if (key !== null && key !== 'null') parts.push(unquoted(key));
    const argument = this.text(this.argument[place]);
    if (argument !== null) parts.push(nil(argument));
    if (this.second[place]) parts.push('→ ' + nil(this.text(this.second[place])));
    return plain(parts.join(' '));
  }

  /** What came back, in a few words. */
  answer(place) {
    const result = this.text(this.result[place]);
    const reason = this.reason[place] ? this.header.reasons[this.reason[place] - 1] : null;
    switch (this.outcome(place)) {
      case 0:
        return result === null ? 'ok' : plain(nil(result));
      case 1:
        return plain(result === null ? 'not equal' : 'not equal: ' + nil(result));
      case 2:
        return plain('failed' + (reason ? ': ' + reason : ''));
      default:
        return plain('unknown' + (reason ? ': ' + reason : ''));
    }
  }
}

const nil = (text) => (text === 'null' ? 'nil' : text);

/** A key as people name it: plain words without their quotation marks. */
const unquoted = (text) => (/^"[\w.\-/:]+"$/.test(text) ? text.slice(1, -1) : text);

/** The data of this page. */
async function readData() {
  const bytes = await inflate(fromBase64(byId('data').textContent.trim()));
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  if (magic !== 'TLR1') throw new Error('the data of this report are damaged, or of another version');
  const length = new DataView(bytes.buffer).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const columns = {};
  let at = 8 + length;
  for (const [name, size] of header.columns) {
    columns[name] = new Column(bytes, at, size);
    at += size;
  }
  if (at !== bytes.length) throw new Error('the data of this report are damaged: they are cut short');
  return new Operations(header, columns);
}
