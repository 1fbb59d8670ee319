/* Other images of the same head: registered to this scan, or by scanner coordinates until they are. */

import { get, scanAddress } from "./api.js";
import { Volumes } from "./volumes.js";

const AGAIN_MS = 2000, OF_PRIOR = "prior-";

export class Beside {
  /** `changed()` is called when another image came or has moved; `busy()` puts it off. */
  constructor(scan, changed, busy) { Object.assign(this, { scan, changed, busy, told: null, mark: "" }); }

  /** Ask until nothing is being registered any more. */
  async read() {
    const told = await get(`${scanAddress(this.scan)}/beside`), mark = JSON.stringify([told.volumes.map((v) => [v.name, v.version]), told.prior]);
    const later = () => setTimeout(() => this.read().catch(() => undefined), AGAIN_MS);
    if (mark !== this.mark && this.busy()) { later(); return; }
    this.told = told;
    if (mark !== this.mark) { this.mark = mark; this.changed(); }
    if (told.waiting) { later(); }
  }

  /** Other contrasts of this exam. */
  anatomy() { return (this.told?.volumes ?? []).filter((meta) => !meta.name.startsWith(OF_PRIOR)); }

  /** How the exam before lies to this one: registered, scanner, waiting. */
  placed() { return this.told?.prior?.placed ?? "waiting"; }

  /** The exam before on this scan's grid, as a side of the panes; null until it is registered. */
  prior(side, arrived) {
    const volumes = (this.told?.volumes ?? []).filter((meta) => meta.name.startsWith(OF_PRIOR));
    if (!volumes.length) { return null; }
    const opened = { ...side.opened, volumes }, made = { opened, geometry: side.geometry };
    made.volumes = new Volumes(opened, (name, share) => arrived(made, name, share));
    return made;
  }
}
