/* One scan on the desk: what is shown, what a key or button does, and what is sent. */

import { Fault, get, scanAddress, session } from "./api.js";
import { Beside } from "./beside.js";
import { Brush } from "./brush.js";
import { showCard } from "./card.js";
import { Clock } from "./clock.js";
import { byId, choose, h } from "./dom.js";
import { List, title } from "./findings.js";
import { showForms } from "./forms.js";
import { Geometry, PLANES, AXES } from "./geometry.js";
import { listenKeys, showHelp } from "./keys.js";
import { listed, nearest, nextOpen, numbered, withPending } from "./model.js";
import { Outbox } from "./outbox.js";
import { Panes } from "./panes.js";
import { listen } from "./pointer.js";
import { chooseOther, chooseSite } from "./menus.js";
import { begin, onLanguage, t, word } from "./texts.js";
import { fetchLabels, Volumes } from "./volumes.js";

const scan = decodeURIComponent(location.pathname.split("/").pop());
const BARE = { index: null, name: "", parents: [], compartment: "n/a", volume_mm3: null, diameter_mm: null, too_wide: false, outline_changed: false, notes: [], seconds: 0, last_event: 0, software: null, votes: {} };
const adjudicates = new URLSearchParams(location.search).get("adjudicate") === "1";

class Desk {
  constructor() {
    Object.assign(this, { current: null, labels: null, unlikely: false, search: "", brush: new Brush(), clock: new Clock(), mine: [], grade: "definite", mode: null, prior: null, disputed: new Map() });
    this.list = new List(byId("findings"), (key) => this.picked(key));
    this.panes = new Panes(byId("panes"), this);
  }

  async open() {
    const [who, opened, events] = await Promise.all([session(), get(scanAddress(scan)), get(`${scanAddress(scan)}/events`)]);
    this.session = who;
    await begin(who.language);
    if (adjudicates) { await this.readDisputes(); }
    this.opened = opened; this.told = opened.state;
    const undone = new Set(events.events.filter((e) => e.kind === "undo").map((e) => e.payload.event));
    this.mine = events.events.filter((e) => e.kind !== "undo" && !undone.has(e.id)).map(({ id, kind, finding }) => ({ id, kind, finding }));
    this.outbox = new Outbox({
      scan, reader: this.session.reader, round: this.session.round,
      told: (answer, event) => this.taken(answer, event), refused: (fault, event) => this.refused(fault, event), changed: () => this.show(),
    });
    this.side = this.sideOf(opened);
    this.channel = new BroadcastChannel(`petechia/${scan}`);
    this.channel.onmessage = () => this.refresh();
    byId("scan").textContent = scan;
    document.title = `${scan} · Petechia`;
    byId("reader").textContent = `${this.session.reader}${this.session.round > 1 ? ` · ${t("round", { n: this.session.round })}` : ""}${opened.state.blind ? ` · ${t("blind")}` : ""}`;
    byId("compare-tool").hidden = !opened.prior;
    if (opened.warnings?.length && !opened.state.blind) { byId("scan").title = opened.warnings.join("\n"); }
    this.makeTools();
    this.show();
    this.outbox.now();
    const first = this.shown()[0], wanted = new URLSearchParams(location.search).get("finding");
    const start = this.byKey(wanted) ?? this.byKey(nextOpen(this.shown(), null)) ?? first;
    this.go(start?.key ?? null, false);
    this.panes.open(this.side);
    this.tellEcho();
    if (!opened.volumes.length) { this.readLabels(); }
    document.body.dataset.state = "ready";
  }

  sideOf(opened) {
    const { shape, spacing_mm: spacing } = opened.volumes[0] ?? { shape: opened.labels.shape, spacing_mm: [1, 1, 1] };
    const side = { opened, geometry: new Geometry(shape, spacing, opened.to_mm, opened.to_native) };
    side.volumes = new Volumes(opened, (name, share) => this.panes.arrived(side, name, share));
    if (!this.opened || opened === this.opened) { if (!sessionStorage.getItem("petechia.view")) { this.panes.plane = opened.plane; } this.panes.now = side; }
    return side;
  }

  async readDisputes() {
    const { round } = this.session, answer = await get(`/api/disagreements?round=${round}`); /* what is settled goes into this round, and no other */
    for (const d of answer.disagreements ?? answer) { if (d.scan === scan && !d.settled) { this.disputed.set(d.finding, d); } }
  }

  votes(f) {
    const told = this.disputed.get(f.key)?.by_reader ?? (Object.keys(f.votes ?? {}).length ? f.votes : null);
    if (!told) { return null; }
    return Object.entries(told).map(([who, d]) => [who, d?.class ? `${t(`verdict.${d.verdict}`)}, ${word("class", d.class)}${d.mars && d.mars !== "n/a" ? `, ${word("mars", d.mars)}` : ""}` : t("undecided")]);
  }

  /* --- what is shown --- */

  /** What readers disagree on, also what only others marked; the adjudicator's own reading is left out. */
  onlyDisputed(state) {
    const mine = new Map(state.findings.map((f) => [f.key, f]));
    const findings = [...this.disputed.values()].map((d) => {
      const f = mine.get(d.finding) ?? { ...BARE, key: d.finding, origin: "other" };
      return { ...f, ...d.place, asked: true, decision: d.decision ?? null, class: d.decision?.class ?? null, counted: d.decision?.verdict === "accept", mars: d.decision?.mars || "n/a", disagreement: "1" };
    });
    const left = findings.filter((f) => !f.decision).length;
    return { ...state, findings, n_asked: findings.length, n_undecided: left, counted: findings.filter((f) => f.counted).length };
  }

  shown() { return listed(this.state, { unlikely: this.unlikely, search: this.search }); }

  byKey(key) { return this.state.findings.find((f) => f.key === key); }

  number(key) { return this.numbers.get(key) ?? ""; }

  show() {
    if (!this.told) { return; }
    this.state = withPending(this.told, this.outbox.waiting().map((one) => one.event));
    if (adjudicates) { this.state = this.onlyDisputed(this.state); }
    this.numbers = numbered(this.state);
    const list = this.shown(), { n_undecided: left, n_asked: asked } = this.state;
    this.list.show(list, this.current, this.numbers);
    const hidden = this.state.findings.filter((f) => !f.asked && !f.decision).length;
    byId("unlikely-text").textContent = t("unlikely", { n: hidden });
    byId("unlikely").closest("label").hidden = !hidden;
    byId("progress").textContent = `${t("progress", { done: asked - left, all: asked })} · ${t("counted", { n: this.state.counted })}`;
    const kept = this.outbox.state(), saved = byId("saved"), n = this.outbox.waiting().length;
    saved.dataset.kept = kept;
    const text = t(`saved.${kept}`, { n, why: this.outbox.fault?.status === 401 ? t("saved.link") : "" });
    if (saved.textContent !== text) { saved.textContent = text; }
    Object.assign(byId("finish"), { textContent: t(this.state.finished ? "reopen" : "finish"), hidden: this.state.finished && this.session.blind });
    if (!byId("card").contains(document.activeElement) || document.activeElement.tagName !== "TEXTAREA") { showCard(byId("card"), this.byKey(this.current), this); }
    if (byId("below").open && !/INPUT|TEXTAREA|SELECT/.test(byId("forms").contains(document.activeElement) ? document.activeElement.tagName : "")) { this.showForms(); }
    this.panes.draw();
  }

  showForms() { showForms(byId("forms"), this.state, (kind, payload) => this.put(kind, "", payload)); }

  say(text = "", kind = "") { const box = byId("message"); box.hidden = !text; box.textContent = text; box.dataset.kind = kind; }

  fault(fault) { this.say(fault.status === 401 ? t("saved.link") : `${fault.message} ${fault.told?.mend ?? ""}`, "bad"); }

  /** The first image is seen. */
  seen() {
    if (document.body.dataset.first) { return; }
    document.body.dataset.first = String(Math.round(performance.now()));
    this.readLabels(); /* after the image: it is what a reader waits for */
    this.beside = new Beside(scan, () => this.besideCame(), () => this.brush.on);
    this.beside.read().catch((fault) => this.fault(fault));
  }

  /** Another contrast came, or the exam before was registered. */
  besideCame() {
    const anatomy = this.beside.anatomy(), own = this.opened.volumes.filter((meta) => !meta.placed);
    anatomy.forEach((meta) => this.side.volumes.put(meta));
    this.opened.volumes.splice(0, Infinity, ...own, ...anatomy);
    if (this.prior) { this.prior = null; this.compare().catch((fault) => this.fault(fault)); } else if (anatomy.length) { this.panes.open(this.side); }
  }

  /** Go to a finding; time since the last one is counted to the one that is left. */
  go(key, keepsClock = true) {
    if (this.brush.on && key !== this.current) { this.endBrush(); }
    if (key !== this.current && keepsClock) { this.clock.take(); }
    this.current = key;
    const f = this.byKey(key);
    if (f) {
      this.panes.goWorld([f.x_mm, f.y_mm, f.z_mm]);
      const list = this.shown(), next = this.byKey(nextOpen(list, key));
      if (next && this.panes.panes.length) {
        const height = this.side.geometry.inside(this.side.geometry.mmOfWorld([next.x_mm, next.y_mm, next.z_mm]))[2];
        for (const name of this.side.volumes.rank) { this.side.volumes.prefetch(name, height); }
      }
    }
    this.show();
  }

  picked(key) {
    if (this.mode?.kind === "merge") { this.merge(key); return; }
    this.go(key);
  }

  step(by) {
    const list = this.shown(), here = list.findIndex((f) => f.key === this.current);
    if (list.length) { this.go(list[(here + by + list.length) % list.length].key); }
  }

  /* --- outlines --- */

  async readLabels() {
    const keys = this.told.findings.map((f) => f.key), last = this.told.last_event;
    try { const numbers = await fetchLabels(scan, this.opened.labels, this.told); if (!this.brush.on && last === this.told.last_event) { this.labels = { numbers, keys }; this.panes.draw(); } } catch (fault) { this.fault(fault); }
  }

  /* --- what is sent --- */

  put(kind, finding, payload, extra = {}) {
    const f = this.byKey(finding);
    const event = this.outbox.put({ kind, finding, payload, seconds: this.clock.take(), fingerprint: this.told.fingerprint, ...(f ? { after: f.last_event } : {}), ...extra });
    this.show();
    return event;
  }

  taken({ event, state }) {
    this.told = state;
    const keys = state.findings.map((f) => f.key).join();
    if (event.kind === "undo") { this.mine = this.mine.filter((one) => one.id !== event.payload.event); } else if (!this.mine.some((one) => one.id === event.id)) { this.mine.push({ id: event.id, kind: event.kind, finding: event.finding }); }
    if (["add", "split", "merge", "outline", "remove", "undo", "finish", "reopen"].includes(event.kind) || keys !== this.labels?.keys.join()) { this.readLabels(); }
    const made = event.kind === "add" && event.finding === this.current && state.findings.find((f) => f.key === event.finding);
    if (made) { this.panes.goWorld([made.x_mm, made.y_mm, made.z_mm]); } /* its outline was grown: its middle is known now */
    if (event.kind === "split") { this.current = `${event.finding}.1`; }
    if (!adjudicates && this.current && !state.findings.some((f) => f.key === this.current) && !this.outbox.waiting().some((one) => one.event.finding === this.current)) { this.show(); this.go(this.byKeyOf(state)?.key ?? null, false); }
    this.channel.postMessage(event.id);
    this.show();
    if (this.leaving && !this.outbox.waiting().length) { location.assign(this.leaving); }
  }

  byKeyOf(state) { return state.findings.find((f) => f.asked && !f.decision) ?? state.findings[0]; }

  async refresh() {
    const opened = await get(scanAddress(scan)).catch(() => null);
    if (opened && opened.fingerprint === this.told.fingerprint) { this.told = opened.state; this.readLabels(); this.show(); }
  }

  /** The server will not take an event: show why, ask when there is a choice. */
  async refused(fault, event) {
    const f = this.byKey(event.finding), name = f ? `${this.number(f.key)}. ${f.class ? title(f) : ""}` : "", state = fault.body?.state;
    this.leaving = null;
    if (fault.status === 409 && state?.finished && state.fingerprint === event.fingerprint && event.kind !== "adjudicate") { this.told = state; this.readLabels(); this.say(`${t("refused")} ${this.stands()}`, "bad"); return null; }
    if (fault.status === 409 && state && state.fingerprint === event.fingerprint) {
      const now = state.findings.find((one) => one.key === event.finding);
      this.told = state;
      const answer = await choose(t("conflict"), h("div", {}, h("p", {}, t("conflict.same", { name })), h("p", {}, `${t("conflict.now")}: ${now?.class ? title(now) : t("undecided")}`), h("p", {}, `${t("conflict.mine")}: ${t(`kind.${event.kind}`)} ${word("class", event.payload.class ?? event.payload.verdict ?? "")}`)), [["mine", t("conflict.keep"), ".main"], ["theirs", t("conflict.drop")]]);
      if (answer === "mine" && now) { return { ...event, after: now.last_event }; }
      this.readLabels();
      return null;
    }
    if (fault.status === 409) {
      await choose(t("conflict"), h("p", {}, t("conflict.other", { name, what: `${t(`kind.${event.kind}`)} ${word("class", event.payload.class ?? "")}` })), [["ok", t("reload"), ".main"]]);
      this.outbox.waiting().filter((one) => one.event.fingerprint === event.fingerprint).forEach((one) => this.outbox.drop(one.event.uuid));
      location.reload();
      return null;
    }
    this.say(`${t("refused")} ${fault.message}. ${fault.told?.mend ?? ""}`, "bad");
    return null;
  }

  stands() { return t(this.session.blind ? "finished.blind" : "finished.first"); }

  decide(verdict, class_, mars) {
    const key = this.current, f = this.byKey(key);
    if (!f) { return; }
    if (this.state.finished && !adjudicates) { this.say(this.stands()); return; }
    this.say();
    const list = this.shown();
    const payload = { verdict, class: class_, ...(mars ? { mars } : {}) };
    if (adjudicates) { this.disputed.get(key).decision = { ...payload, mars: mars ?? "", event: 0 }; }
    this.put(adjudicates ? "adjudicate" : "decide", key, payload);
    const next = nextOpen(list.map((one) => this.byKey(one.key) ?? one), key);
    if (next) { this.go(next, false); } else { this.say(t("all.decided"), "good"); }
  }

  accept(mars) {
    const own = this.byKey(this.current)?.software?.mars;
    const grade = mars ?? (own === "definite" || own === "possible" ? own : this.grade);
    this.grade = grade;
    this.decide("accept", "microbleed", grade);
  }

  addAt(mm) {
    const [x, y, z] = this.side.geometry.worldOfMm(mm).map((v) => Math.round(v * 1000) / 1000);
    const event = this.put("add", "", { x_mm: x, y_mm: y, z_mm: z, class: "microbleed", mars: this.grade });
    this.go(event.finding, false);
  }

  undo() {
    const waiting = this.outbox.waiting().at(-1);
    if (waiting && this.outbox.cancel(waiting.event.uuid)) { if (this.byKey(waiting.event.finding)) { this.go(waiting.event.finding); } this.show(); return; }
    if (waiting) { return; } /* on its way: a moment */
    const last = this.mine.at(-1);
    if (!last) { this.say(t("nothing")); return; }
    this.mine.pop();
    this.put("undo", "", { event: last.id });
    if (last.finding && this.byKey(last.finding)) { this.go(last.finding, false); }
  }

  /* --- modes: brush, split, merge --- */

  setMode(mode) { this.mode = mode; const box = byId("mode"); box.hidden = !mode; box.textContent = mode ? t(`mode.${mode.kind}${mode.first ? ".second" : ""}`) : ""; document.body.dataset.mode = mode?.kind ?? ""; this.panes.draw(); }

  startBrush(erase) {
    if (this.brush.on) { if (this.brush.erase === erase) { this.endBrush(); } else { this.brush.erase = erase; this.setMode({ kind: erase ? "erase" : "brush" }); } return; }
    const n = this.labels?.keys.indexOf(this.current) ?? -1;
    if (n < 0) { return; }
    this.brush.begin(this.labels, n + 1);
    this.brush.erase = erase;
    this.setMode({ kind: erase ? "erase" : "brush" });
  }

  endBrush() {
    const key = this.labels.keys[this.brush.number - 1], changed = this.brush.end();
    this.setMode(null);
    if (!changed) { return; }
    const runs = this.side.geometry.runs(this.labels.numbers, this.brush.number);
    if (runs.length) { this.put("outline", key, { runs }); } else { this.say(t("empty.outline")); this.readLabels(); }
  }

  painted(pane, mm) { this.hovered(pane, mm); this.brush.dab(this.side.geometry, this.panes.plane, mm); this.panes.draw(); }

  hovered(pane, mm) { this.brush.at = mm; this.brush.pane = pane; this.panes.draw(); }

  placed(mm) {
    this.panes.go(mm);
    const world = this.side.geometry.worldOfMm(this.panes.at).map((v) => Math.round(v * 1000) / 1000);
    if (this.mode?.kind === "split") {
      if (!this.mode.first) { this.setMode({ kind: "split", first: world }); return; }
      const places = [this.mode.first, world];
      this.setMode(null);
      this.put("split", this.current, { at_mm: places });
      return;
    }
    const near = nearest(this.state, world, 4);
    if (this.mode?.kind === "merge") { if (near) { this.merge(near.key); } return; }
    if (near && near.key !== this.current && (near.asked || near.decision || this.unlikely)) { this.clock.take(); this.current = near.key; this.show(); }
  }

  merge(other) { const key = this.current; this.setMode(null); if (other !== key) { this.put("merge", key, { with: [other] }); } }

  cancel() {
    if (this.brush.on) { this.brush.cancel(); }
    this.setMode(null); this.say();
    if (this.panes.big !== null) { this.panes.maximise(this.panes.big); }
  }

  async finish() {
    if (this.state.finished) { if (this.session.blind) { this.say(this.stands()); } else { this.put("reopen", "", {}); } return; }
    if (this.state.n_undecided) {
      const answer = await choose(t("finish"), h("p", {}, t("finish.open", { n: this.state.n_undecided })), [["yes", t("finish.anyway"), ".main"], ["", t("cancel")]]);
      if (answer !== "yes") { return; }
    }
    this.leaving = this.opened.next ? `/scan/${encodeURIComponent(this.opened.next)}` : "/";
    this.put("finish", "", {});
  }

  async compare() {
    if (!this.opened.prior) { return; }
    byId("compare-tool").setAttribute("aria-pressed", String(!this.prior));
    if (this.prior) { this.prior = null; this.panes.open(this.side); this.setMode(null); return; }
    this.prior = this.beside?.prior(this.side, (side, name, share) => this.panes.arrived(side, name, share)) ?? this.sideOf(await get(scanAddress(this.opened.prior)));
    this.panes.open(this.side, this.prior);
    this.setMode({ kind: `prior.${this.beside?.placed() ?? "waiting"}` });
  }

  makeTools() {
    byId("planes").replaceChildren(...PLANES.map((plane) => h("button", { type: "button", data: { plane }, "aria-pressed": String(plane === this.panes.plane), onclick: () => this.plane(plane) }, t(`plane.${plane}`))));
    const { metas = [] } = { metas: this.opened.volumes.filter((v) => v.group === "magnitude") };
    byId("echo-tool").hidden = metas.length < 2;
    byId("echo").max = String(metas.length - 1);
    this.tellEcho();
    byId("labels-tool").setAttribute("aria-pressed", String(this.panes.outlines));
  }

  tellEcho() { const { echo, echoes = [] } = this.panes; byId("echo").value = String(echo); byId("echo-text").textContent = echoes[echo]?.te_s ? `${(echoes[echo].te_s * 1000).toFixed(1)} ms${this.panes.isReading(echoes[echo]) ? ` · ${t("echo.read")}` : ""}` : ""; }

  plane(plane) {
    this.panes.setPlane(plane);
    for (const b of byId("planes").children) { b.setAttribute("aria-pressed", String(b.dataset.plane === plane)); }
  }

  echo(n) { this.panes.setEcho(n); this.tellEcho(); }

  /** An action by its name: of a key, a button, or a test. */
  act(action, key) {
    const p = this.panes, reject = ["vessel", "calcification", "iron", "air_tissue"];
    if (reject.includes(action)) { this.decide("reject", action); return; }
    const does = {
      next: () => this.step(1), back: () => this.step(-1), accept: () => this.accept(), definite: () => this.accept("definite"), possible: () => this.accept("possible"),
      other: async () => { const c = await chooseOther(); if (c) { this.decide("reject", c); } }, undo: () => this.undo(), add: () => this.addAt(p.at),
      site: async () => { const f = this.byKey(this.current), to = f && await chooseSite(f); if (to) { this.put("site", f.key, to); } },
      split: () => this.current && this.setMode({ kind: "split" }), merge: () => this.current && this.setMode({ kind: "merge" }), brush: () => this.startBrush(false), erase: () => this.startBrush(true),
      smaller: () => { this.brush.grow(1 / 1.25); p.draw(); }, larger: () => { this.brush.grow(1.25); p.draw(); }, cancel: () => this.cancel(),
      remove: () => { const f = this.byKey(this.current); if (f?.origin === "reader") { this.put("remove", f.key, {}); this.go(nextOpen(this.shown(), f.key) ?? this.shown()[0]?.key ?? null, false); } },
      labels: () => { p.outlines = !p.outlines; byId("labels-tool").setAttribute("aria-pressed", String(p.outlines)); p.keep(); p.draw(); }, windows: () => p.resetWindows(),
      in: () => p.zoom(1 / 1.4), out: () => p.zoom(1.4), whole: () => { p.field = p.field ? 0 : 40; p.keep(); p.draw(); }, plane: () => this.plane(PLANES[(PLANES.indexOf(p.plane) + 1) % 3]),
      down: () => p.scroll(-1), up: () => p.scroll(1), echo: () => this.echo((p.echo + 1) % Math.max(1, p.echoes.length)), compare: () => this.compare().catch((f) => this.fault(f)),
      maximise: () => p.maximise(Number(key) - 1), help: () => showHelp(), search: () => byId("filter").focus(), queue: () => location.assign("/"),
      enter: () => (this.brush.on ? this.endBrush() : this.finish()),
    }[action];
    does?.();
  }

  listen() {
    listen(byId("panes"), this.panes, this);
    listenKeys((action, key) => this.act(action, key), (side, by) => this.panes.step(AXES[this.panes.plane][side], by));
    document.addEventListener("click", (event) => { const b = event.target.closest("button[data-action]"); if (b) { this.act(b.dataset.action); } });
    byId("help").addEventListener("click", showHelp);
    byId("finish").addEventListener("click", () => this.finish());
    byId("filter").addEventListener("input", (event) => { this.search = event.target.value; this.show(); });
    byId("unlikely").addEventListener("change", (event) => { this.unlikely = event.target.checked; this.show(); });
    byId("echo").addEventListener("input", (event) => this.echo(Number(event.target.value)));
    byId("below").addEventListener("toggle", () => { if (byId("below").open) { this.showForms(); byId("below").scrollIntoView({ block: "nearest" }); } });
    onLanguage(() => { if (this.opened) { this.makeTools(); this.show(); this.panes.panes.forEach((pane) => this.panes.show(pane)); } });
  }

  note(key, text) { this.put("note", key, { text: text.trim() }); }
}

const desk = new Desk();
desk.open().then(() => desk.listen(), async (error) => {
  document.body.dataset.state = "failed";
  if (!desk.told) { await begin(); }
  if (error instanceof Fault) { desk.fault(error); } else { desk.say(String(error), "bad"); throw error; }
});
window.petechiaDesk = desk;
