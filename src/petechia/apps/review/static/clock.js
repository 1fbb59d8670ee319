/* Seconds spent on a finding: they stop when the page is hidden or nobody has moved for a minute. */

const IDLE_MS = 60_000;

export class Clock {
  constructor() {
    this.spent = 0; this.since = null; this.seen = 0;
    document.addEventListener("visibilitychange", () => { if (document.hidden) { this.stop(); } else { this.go(); } });
    for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) { addEventListener(kind, () => this.alive(), { passive: true, capture: true }); }
    this.go();
  }

  alive() {
    const now = performance.now();
    if (this.since !== null && now - this.seen > IDLE_MS) { this.spent += this.seen + IDLE_MS - this.since; this.since = now; }
    this.seen = now;
  }

  go() { if (!document.hidden && this.since === null) { this.since = this.seen = performance.now(); } }

  stop() {
    if (this.since === null) { return; }
    this.alive();
    this.spent += performance.now() - this.since;
    this.since = null;
  }

  /** Seconds since the last call [s]. */
  take() {
    this.stop();
    const seconds = Math.round(this.spent / 100) / 10;
    this.spent = 0;
    this.go();
    return seconds;
  }
}
