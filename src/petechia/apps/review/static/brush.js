/* Correcting an outline by hand: a round brush in the plane that is shown, within one slice. */

import { AXES, NORMAL } from "./geometry.js";

export class Brush {
  constructor() { Object.assign(this, { on: false, erase: false, radius: 1.5, at: null, pane: null, changed: false, before: null }); }

  /** Begin on a finding: `number` is its number in `numbers`. */
  begin(labels, number) { Object.assign(this, { on: true, erase: false, changed: false, before: labels.numbers.slice(), number, labels }); }

  /** Leave; true when the outline is other than it was. */
  end() { const changed = this.on && this.changed; this.on = false; this.at = null; return changed; }

  cancel() { if (this.on) { this.labels.numbers.set(this.before); } this.on = false; this.changed = false; }

  grow(by) { this.radius = Math.min(10, Math.max(0.3, this.radius * by)); }

  /** Paint or erase the disc at a place [mm]. */
  dab(geometry, plane, mm) {
    const [a, b] = AXES[plane], normal = NORMAL[plane], v = geometry.voxelOfMm(mm), { numbers } = this.labels;
    const reach = (axis) => this.radius / geometry.spacing[axis], middle = geometry.inside(mm), put = [0, 0, 0];
    put[normal] = middle[normal];
    for (let i = Math.ceil(v[a] - reach(a)); i <= v[a] + reach(a); i++) {
      for (let j = Math.ceil(v[b] - reach(b)); j <= v[b] + reach(b); j++) {
        if (Math.hypot((i - v[a]) * geometry.spacing[a], (j - v[b]) * geometry.spacing[b]) <= this.radius) { this.set(geometry, put, a, b, i, j); }
      }
    }
    this.set(geometry, put, a, b, middle[a], middle[b]);
  }

  set(geometry, put, a, b, i, j) {
    if (i < 0 || j < 0 || i >= geometry.shape[a] || j >= geometry.shape[b]) { return; }
    put[a] = i; put[b] = j;
    const n = geometry.index(put), { numbers } = this.labels, now = numbers[n];
    const next = this.erase ? (now === this.number ? 0 : now) : now === 0 ? this.number : now; /* never over another finding */
    if (next !== now) { numbers[n] = next; this.changed = true; }
  }
}
