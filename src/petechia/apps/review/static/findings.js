/* The list of findings: a row is made once and touched again only when it says something else. */

import { h, number } from "./dom.js";
import { look } from "./model.js";
import { t, word } from "./texts.js";

export class List {
  constructor(root, choose) {
    Object.assign(this, { root, rows: new Map(), order: "", key: null });
    root.addEventListener("click", (event) => { const row = event.target.closest("button[data-key]"); if (row) { choose(row.dataset.key); } });
  }

  /** Show `findings` in their order, `current` marked. */
  show(findings, current, numbers) {
    const rows = findings.map((f) => this.row(f, numbers.get(f.key)));
    const order = findings.map((f) => f.key).join(" ");
    if (order !== this.order) { this.root.replaceChildren(...rows); this.order = order; }
    for (const key of this.rows.keys()) { if (!numbers.has(key)) { this.rows.delete(key); } }
    if (this.key !== current) {
      this.rows.get(this.key)?.item.firstChild.removeAttribute("aria-current");
      this.key = current;
    }
    const row = this.rows.get(current)?.item;
    if (row && row.isConnected && row.firstChild.getAttribute("aria-current") !== "true") {
      row.firstChild.setAttribute("aria-current", "true");
      row.scrollIntoView({ block: "nearest" });
    }
  }

  row(f, n) {
    const said = [look(f), f.class, f.mars, f.site, f.side, f.waiting, n, document.documentElement.lang, f.software?.probability, f.disagreement, f.notes.length].join("|");
    let kept = this.rows.get(f.key);
    if (!kept) { this.rows.set(f.key, kept = { item: h("li"), said: "" }); }
    if (kept.said !== said) {
      kept.said = said;
      const p = f.software?.probability;
      const button = h("button", { type: "button", data: { key: f.key, look: look(f) } },
        h("span.n", {}, n),
        h("span.what", {}, h("b", {}, f.class ? word("class", f.class) : t("undecided")), h("small", {}, (f.counted && f.mars !== "n/a" ? `${word("mars", f.mars)} · ` : "") + place(f))),
        h("span.p", {}, f.decision ? (f.waiting ? "…" : f.decision.verdict === "accept" ? "✓" : "✕") : p === null || p === undefined ? "" : number(p, 2)));
      if (f.key === this.key) { button.setAttribute("aria-current", "true"); }
      kept.item.replaceChildren(button);
    }
    return kept.item;
  }
}

export const title = (f) => `${word("class", f.class)}${f.counted && f.mars !== "n/a" ? `, ${word("mars", f.mars)}` : ""}`;

export const place = (f) => (f.site === "n/a" ? t("site.unknown") : `${f.side === "n/a" ? "" : `${word("side", f.side)} `}${word("site", f.site)}`);
