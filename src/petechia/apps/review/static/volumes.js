/* Volumes of a scan in slabs: those nearest to where one looks come first, each is fetched once. */

import { get } from "./api.js";

const AT_ONCE = 4;

/** Slabs waiting for the line, those wanted most first. */
class Line {
  constructor() { this.waiting = []; this.busy = 0; }

  ask(weight, work) {
    return new Promise((resolve, reject) => { this.waiting.push({ weight, work, resolve, reject }); queueMicrotask(() => this.next()); });
  }

  next() {
    while (this.busy < AT_ONCE && this.waiting.length) {
      let best = 0;
      this.waiting.forEach((one, n) => { if (one.weight() < this.waiting[best].weight()) { best = n; } });
      const { work, resolve, reject } = this.waiting.splice(best, 1)[0];
      this.busy += 1;
      work().then(resolve, reject).finally(() => { this.busy -= 1; this.next(); });
    }
  }
}

export class Volumes {
  /** All of an opened scan. `changed(name)` is called when more of a volume is there. */
  constructor(opened, changed) {
    this.scan = opened.scan; this.changed = changed;
    this.all = new Map();
    opened.volumes.forEach((meta) => this.put(meta));
    this.line = new Line();
    this.height = 0; /* slice in the middle of interest */
    this.rank = []; /* names, those shown first */
  }

  /** Take a volume in, or another version of it. */
  put(meta) { if (this.meta(meta.name)?.version !== meta.version) { this.all.set(meta.name, { meta, numbers: null, slabs: meta.slabs.map(() => "no") }); } }

  meta(name) { return this.all.get(name)?.meta; }

  numbers(name) { return this.all.get(name)?.numbers; }

  /** Share of a volume that is there, 0 to 1. */
  share(name) { const { slabs } = this.all.get(name); return slabs.filter((s) => s === "yes").length / slabs.length; }

  /** Where one looks now [slice], and which volumes are on the screen. */
  look(height, names) { this.height = height; this.rank = names; }

  /** Fetch a volume: resolves when the slab at the place of interest is there; the rest follows. */
  want(name, everything = true) {
    const volume = this.all.get(name);
    if (!volume.numbers) { volume.numbers = new Uint8Array(volume.meta.shape.reduce((a, b) => a * b)); }
    const first = this.nearest(volume), load = this.slab(name, first);
    if (everything) { volume.meta.slabs.forEach((_, n) => { if (n !== first) { this.slab(name, n).catch(() => undefined); } }); }
    return load;
  }

  /** Fetch only what is near the slice `height`: for the finding that comes next. */
  prefetch(name, height) { return this.slab(name, this.nearest(this.all.get(name), height)).catch(() => undefined); }

  nearest({ meta }, height = this.height) {
    const found = meta.slabs.findIndex(([first, last]) => height >= first && height < last);
    return found < 0 ? (height < 0 ? 0 : meta.slabs.length - 1) : found;
  }

  slab(name, n) {
    const volume = this.all.get(name), [first, last] = volume.meta.slabs[n];
    if (volume.slabs[n] === "yes") { return Promise.resolve(); }
    if (volume.slabs[n] !== "no") { return volume.slabs[n]; }
    if (!volume.numbers) { volume.numbers = new Uint8Array(volume.meta.shape.reduce((a, b) => a * b)); }
    const weight = () => {
      const away = Math.max(0, first - this.height, this.height - last + 1), rank = this.rank.indexOf(name);
      return (away ? 10 + away : 0) + (rank < 0 ? 1000 : rank / 10);
    };
    const asked = this.line.ask(weight, async () => {
      const bytes = await get(`/api/scans/${encodeURIComponent(this.scan)}/volumes/${name}/${n}?v=${encodeURIComponent(volume.meta.version)}`, "bytes");
      volume.numbers.set(new Uint8Array(bytes), first * volume.meta.shape[0] * volume.meta.shape[1]);
      volume.slabs[n] = "yes";
      this.changed(name, this.share(name));
    });
    volume.slabs[n] = asked;
    asked.catch(() => { volume.slabs[n] = "no"; });
    return asked;
  }
}

/** The reader's outlines: position in the list of findings + 1, for every voxel. */
export async function fetchLabels(scan, labels, state) {
  const numbers = new Uint16Array(labels.shape.reduce((a, b) => a * b)), slice = labels.shape[0] * labels.shape[1];
  await Promise.all(labels.slabs.map(async ([first], n) => {
    const bytes = await get(`/api/scans/${encodeURIComponent(scan)}/labels/${n}?after=${state.last_event}`, "bytes");
    numbers.set(new Uint16Array(bytes), first * slice);
  }));
  return numbers;
}
