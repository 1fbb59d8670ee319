/* The panes: one place, one zoom, one plane for all of them; windows kept by kind of volume. */

import { byId, h, number } from "./dom.js";
import { NORMAL, View } from "./geometry.js";
import { paint } from "./overlay.js";
import { Slice } from "./slices.js";
import { t } from "./texts.js";

const ORDER = ["magnitude", "swi", "mip", "chi", "r2star", "anatomy", "other"];
const KEPT = "petechia.view";
export const FIELD_MM = 40;

const kindOf = (meta) => (/(^|-)mip$/.test(meta.name) ? "mip" : ORDER.includes(meta.group) ? meta.group : "other");

/** The title of a volume in the page's language; those of contrasts are the same in each. */
function titleOf(meta) {
  const [kind] = /magnitude|computed|mip/.exec(meta.name) ?? [], [n] = /[\d.]+(?= m[ms]\b)/.exec(meta.title) ?? [];
  return kind && n ? t(`volume.${kind}`, { n }) : meta.title;
}

export class Panes {
  /** `desk` has state, labels and current; `side` is {geometry, volumes} of this scan. */
  constructor(root, desk) {
    Object.assign(this, { root, desk, panes: [], at: [0, 0, 0], plane: "axial", field: FIELD_MM, outlines: true, big: null, windows: {}, echo: 0, pending: false });
    try { Object.assign(this, JSON.parse(sessionStorage.getItem(KEPT) || "{}")); } catch { /* a new view */ }
    new ResizeObserver(() => this.layout()).observe(root);
  }

  keep() {
    const { plane, field, outlines, windows, echo } = this;
    sessionStorage.setItem(KEPT, JSON.stringify({ plane, field, outlines, windows, echo }));
  }

  /** Make the panes of a scan (and, beside them, those of a prior one). */
  open(now, prior = null) {
    this.now = now;
    this.panes = []; this.big = null; this.root.replaceChildren();
    const kinds = new Map();
    for (const meta of now.opened.volumes) { kinds.set(kindOf(meta), [...(kinds.get(kindOf(meta)) || []), meta]); }
    this.echoes = kinds.get("magnitude") || [];
    this.echo = Math.min(this.echo || this.reading(), Math.max(0, this.echoes.length - 1));
    const chosen = ORDER.filter((kind) => kinds.has(kind)).map((kind) => ({ kind, metas: kinds.get(kind) }));
    const specs = [];
    if (prior) {
      const theirs = (kind) => prior.opened.volumes.filter((m) => kindOf(m) === kind);
      const both = chosen.filter(({ kind }) => theirs(kind).length).slice(0, 4);
      both.forEach((one) => specs.push({ ...one, side: now }));
      both.forEach(({ kind }) => specs.push({ kind, metas: theirs(kind), side: prior, old: true }));
      this.columns = both.length;
    } else {
      chosen.forEach((one) => specs.push({ ...one, side: now }));
      const base = kinds.get("swi") || this.echoes;
      if (base.length) { specs.push({ kind: "whole", metas: base, side: now, whole: true }); }
      this.columns = 0;
    }
    for (const spec of specs) { this.panes.push(this.pane(spec)); }
    this.layout();
    this.load();
  }

  /** Whether dark spots are read, and their sizes measured, at the echo of a volume. */
  isReading(meta) { const te = this.now.opened.summary?.reading_te_s; return Boolean(te && meta.te_s) && Math.abs(meta.te_s - te) < 1e-4; }

  reading() {
    const found = this.echoes.findIndex((meta) => this.isReading(meta));
    return found < 0 ? Math.max(0, Math.ceil(this.echoes.length / 2) - 1 + (this.echoes.length > 2 ? 1 : 0)) : found;
  }

  pane(spec) {
    const image = h("canvas.image", { role: "img" }), marks = h("canvas.marks", { "aria-hidden": "true" }), title = h("span.title"), value = h("span.value");
    const n = this.panes.length + 1;
    const frame = h("div.pane", { data: { kind: spec.kind, old: spec.old ? "1" : "" } }, image, marks, h("div.caption", {}, h("b", {}, String(n)), title, value));
    if (spec.metas.length > 1 && spec.kind === "anatomy") {
      frame.lastChild.append(h("button", { type: "button", onclick: () => { spec.metas.push(spec.metas.shift()); this.show(pane); this.load(); } }, "⇄"));
    }
    this.root.append(frame);
    const pane = { ...spec, frame, image, marks, title, value, slice: new Slice(image) };
    return pane;
  }

  meta(pane) { return pane.kind === "magnitude" ? pane.metas[Math.min(this.echo, pane.metas.length - 1)] : pane.metas[0]; }

  /** Fetch what is shown, the slabs at the crosshair first. */
  load() {
    for (const side of new Set(this.panes.map((p) => p.side))) {
      const names = [...new Set(this.panes.filter((p) => p.side === side).map((p) => this.meta(p).name))];
      side.volumes.look(side.geometry.inside(this.here(side))[2], names);
      for (const name of names) { side.volumes.want(name).catch((fault) => this.desk.fault(fault)); }
    }
    this.panes.forEach((pane) => this.show(pane));
  }

  /** More of a volume is there. */
  arrived(side, name) {
    for (const pane of this.panes.filter((p) => p.side === side && this.meta(p).name === name)) {
      this.show(pane);
    }
  }

  windowOf(pane) { const meta = this.meta(pane); return this.windows[meta.group] || [meta.low, meta.high]; }

  /** Give a pane's numbers to its canvas, as far as they are there. */
  show(pane) {
    const meta = this.meta(pane), numbers = pane.side.volumes.numbers(meta.name);
    const placed = meta.placed || (pane.old ? "scanner" : ""), read = pane.kind === "magnitude" && !pane.old && this.isReading(meta);
    const named = titleOf(meta), told = [pane.old ? `${t("prior.short")}: ${named}` : named, placed && t(`placed.${placed}`), read && t("echo.read"), pane.whole && t("whole")];
    pane.title.textContent = told.filter(Boolean).join(", ");
    pane.image.setAttribute("aria-label", pane.title.textContent);
    pane.title.title = [pane.title.textContent, meta.says].filter(Boolean).join(": ");
    if (!numbers || pane.side.volumes.share(meta.name) === 0) { return; }
    pane.slice.show(meta, numbers, this.windowOf(pane));
    this.draw();
    this.desk.seen();
  }

  /** The place in a side's own millimetres. */
  here(side) { return side === this.now ? this.at : side.geometry.mmOfWorld(this.now.geometry.worldOfMm(this.at)); }

  view(pane) {
    const { clientWidth: w, clientHeight: hh } = pane.marks, { geometry } = pane.side;
    const fit = Math.min(...[[0, w], [1, hh]].map(([n, px]) => px / geometry.size[(this.plane === "axial" ? [0, 1] : this.plane === "coronal" ? [0, 2] : [1, 2])[n]]));
    const whole = pane.whole || this.field === 0;
    return new View(this.plane, w, hh, whole ? [0, 0, 0] : this.here(pane.side), whole ? fit : Math.min(w, hh) / this.field);
  }

  layout() {
    const n = this.panes.length, { clientWidth: w, clientHeight: hh } = this.root;
    if (!n || !w || !hh) { return; }
    let best = this.columns || 1, most = 0;
    if (!this.columns) {
      for (let c = 1; c <= n; c++) {
        const side = Math.min(w / c, hh / Math.ceil(n / c));
        if (side > most) { most = side; best = c; }
      }
    }
    const rows = Math.ceil(n / best);
    this.root.style.gridTemplateColumns = this.big === null ? `repeat(${best}, minmax(0, 1fr))` : "1fr";
    this.root.style.gridTemplateRows = this.big === null ? `repeat(${rows}, minmax(0, 1fr))` : "1fr";
    this.panes.forEach((pane, k) => { pane.frame.hidden = this.big !== null && this.big !== k; });
    this.draw();
  }

  maximise(n) {
    if (n >= this.panes.length) { return; }
    this.big = this.big === n ? null : n;
    this.layout();
  }

  /** Draw all at the next frame, once. */
  draw() {
    if (this.pending) { return; }
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.panes.forEach((pane) => this.drawOne(pane)); this.tell(); });
  }

  drawOne(pane) {
    if (pane.frame.hidden) { return; }
    const dpr = Math.min(2, devicePixelRatio || 1), view = this.view(pane), w = Math.round(view.width * dpr), hh = Math.round(view.height * dpr);
    if (!w || !hh) { return; }
    const at = this.here(pane.side);
    pane.slice.resize(w, hh);
    pane.slice.draw(new View(view.plane, w, hh, view.centre, view.scale * dpr), at, pane.side.geometry);
    if (pane.marks.width !== w || pane.marks.height !== hh) { pane.marks.width = w; pane.marks.height = hh; }
    paint(pane.marks.getContext("2d"), dpr, view, at, pane, this);
    const meta = this.meta(pane), numbers = pane.side.volumes.numbers(meta.name), stored = numbers && pane.side.geometry.contains(at) ? numbers[pane.side.geometry.index(pane.side.geometry.inside(at))] : 0;
    pane.value.textContent = stored ? `${number(stored * meta.slope + meta.inter, meta.unit === "ppm" ? 2 : 0)} ${meta.unit}` : "";
  }

  tell() {
    if (!this.now) { return; }
    const world = this.now.geometry.worldOfMm(this.at);
    byId("place").textContent = `${world.map((x) => number(x)).join(", ")} mm`;
    byId("field").textContent = this.field ? `${Math.round(this.field)} mm` : t("whole");
    this.root.dataset.at = world.map((x) => x.toFixed(1)).join(" ");
  }

  go(mm) {
    this.at = mm.map((x, i) => Math.min(this.now.geometry.size[i] / 2 - 0.01, Math.max(0.01 - this.now.geometry.size[i] / 2, x)));
    for (const side of new Set(this.panes.map((p) => p.side))) { side.volumes.height = side.geometry.inside(this.here(side))[2]; }
    this.draw();
  }

  goWorld(world) { this.go(this.now.geometry.mmOfWorld(world)); }

  /** Move by voxels along an axis, from one voxel's middle to the next one's. */
  step(axis, by) {
    const v = this.now.geometry.inside(this.at);
    v[axis] = Math.min(this.now.geometry.shape[axis] - 1, Math.max(0, v[axis] + by));
    const mm = this.at.slice();
    mm[axis] = this.now.geometry.mmOfVoxel(v)[axis];
    this.go(mm);
  }

  scroll(by) { this.step(NORMAL[this.plane], by); }

  setPlane(plane) { this.plane = plane; this.keep(); this.draw(); }

  zoom(by) {
    const most = this.now ? Math.max(...this.now.geometry.size) : 250;
    const field = (this.field || most) * by;
    this.field = field >= most ? 0 : Math.max(8, field);
    this.keep(); this.draw();
  }

  setEcho(n) {
    if (!this.echoes.length) { return; }
    this.echo = Math.min(this.echoes.length - 1, Math.max(0, n));
    this.keep(); this.load();
  }

  setWindow(pane, low, high) {
    this.windows[this.meta(pane).group] = [low, high];
    this.keep();
    this.panes.filter((p) => this.meta(p).group === this.meta(pane).group).forEach((p) => this.show(p));
  }

  resetWindows() { this.windows = {}; this.keep(); this.panes.forEach((pane) => this.show(pane)); }

  paneOf(target) { return this.panes.find((pane) => pane.frame.contains(target)); }
}
