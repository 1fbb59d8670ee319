/* Decisions on their way: each is kept in the browser until the server has acknowledged it, in the
   order they were made. The same uuid twice is one event, so that sending again never harms. */

import { Fault, newUuid, post, scanAddress } from "./api.js";

const PREFIX = "petechia.outbox/";
const WAITS_MS = [500, 1000, 2000, 4000, 8000];
/* An answer that the same event would get again, whatever the time. */
const FINAL = new Set([400, 404, 409, 413, 422]);

const base = (key) => key.split(".")[0];

export class Outbox {
  /** `told(answer, event)` when one is taken; `refused(fault, event)` resolves to a new event, or null to drop it. */
  constructor({ scan, reader, round, told, refused, changed }) {
    this.key = `${PREFIX}${encodeURIComponent(reader)}/${round}/${encodeURIComponent(scan)}/`;
    Object.assign(this, { scan, told, refused, changed, tries: 0, running: false, fault: null });
    this.memory = new Map(); /* when the browser keeps nothing, or its room is full */
    addEventListener("online", () => this.now());
    document.addEventListener("visibilitychange", () => { if (document.hidden) { this.flush(); } else { this.now(); } });
    addEventListener("pagehide", () => this.flush());
  }

  /** What is not acknowledged yet, the oldest first. */
  waiting() {
    const found = new Map(this.memory);
    for (let n = 0; n < localStorage.length; n++) {
      const key = localStorage.key(n);
      if (key.startsWith(this.key)) {
        try { const kept = JSON.parse(localStorage.getItem(key)); found.set(kept.event.uuid, kept); } catch { localStorage.removeItem(key); }
      }
    }
    return [...found.values()].sort((a, b) => a.made - b.made);
  }

  keep(entry) {
    try { localStorage.setItem(this.key + entry.event.uuid, JSON.stringify(entry)); } catch { this.memory.set(entry.event.uuid, entry); }
  }

  drop(uuid) { localStorage.removeItem(this.key + uuid); this.memory.delete(uuid); }

  /** Make an event and send it. `after` is the finding's newest event that was seen. */
  put(event) {
    const whole = { uuid: newUuid(), finding: "", payload: {}, ...event };
    if (whole.kind === "add") { whole.finding = `a${whole.uuid.slice(0, 8)}`; }
    const last = this.waiting().at(-1)?.made ?? 0;
    this.keep({ made: Math.max(Date.now(), last + 1), event: whole });
    this.changed();
    this.now();
    return whole;
  }

  /** Take back what was not sent yet; false when it is on its way or gone. */
  cancel(uuid) {
    if (this.sending === uuid || !this.waiting().some((one) => one.event.uuid === uuid)) { return false; }
    this.drop(uuid);
    this.changed();
    return true;
  }

  state() { return this.waiting().length === 0 ? "saved" : this.fault ? "unsaved" : "saving"; }

  now() { clearTimeout(this.timer); this.tries = 0; this.run(); }

  async run() {
    if (this.running) { return; }
    this.running = true;
    const whole = () => this.send();
    try { await (navigator.locks ? navigator.locks.request(this.key, whole) : whole()); } finally { this.running = false; }
    this.changed();
    if (this.waiting().length) {
      this.timer = setTimeout(() => this.run(), WAITS_MS[Math.min(this.tries, WAITS_MS.length - 1)]);
      this.tries += 1;
    }
  }

  async send() {
    for (let entry = this.waiting()[0]; entry; entry = this.waiting()[0]) {
      this.sending = entry.event.uuid;
      try {
        const answer = await post(`${scanAddress(this.scan)}/events`, entry.event);
        this.drop(entry.event.uuid);
        this.follow(answer.event);
        this.fault = null; this.tries = 0;
        this.told(answer, entry.event);
      } catch (error) {
        if (!(error instanceof Fault)) { throw error; }
        if (!FINAL.has(error.status)) { this.fault = error; return; }
        const other = await this.refused(error, entry.event);
        this.drop(entry.event.uuid);
        if (other) { this.keep({ made: entry.made, event: other }); }
      } finally { this.sending = ""; }
      this.changed();
    }
  }

  /** What waits about the same finding was made knowing this event. */
  follow({ finding, id }) {
    for (const entry of this.waiting()) {
      const { event } = entry;
      if (finding && base(event.finding) === base(finding) && event.after < id) { event.after = id; this.keep(entry); }
    }
  }

  /** The page goes: send what waits once more, without waiting for answers. */
  flush() {
    for (const { event } of this.waiting()) {
      if (event.uuid !== this.sending) { post(`${scanAddress(this.scan)}/events`, event, true).catch(() => undefined); break; }
    }
  }
}
