/* Menus that are worked by digits and letters. */

import { h } from "./dom.js";
import { t, word } from "./texts.js";

const SITES = ["frontal", "parietal", "temporal", "occipital", "insula", "basal_ganglia", "thalamus", "internal_capsule", "external_capsule", "corpus_callosum", "deep_periventricular_wm", "brainstem", "cerebellum"];
const SITE_KEYS = "1234567890abc";
const SIDE_KEYS = { r: "right", l: "left", m: "midline" };
export const OTHERS = ["undetermined", "macrobleed", "siderosis", "iron", "vessel", "calcification", "air_tissue"];

function menu(title, rows, more = {}) {
  const box = h("dialog.ask.menu", { "aria-label": title }), before = document.activeElement;
  return new Promise((resolve) => {
    const pick = (value) => box.close(value);
    box.append(h("h2", {}, title), more.head ?? "", h("ol", {}, rows.map(([key, value, name, now]) => h("li", {}, h("button", { type: "button", onclick: () => pick(value), "aria-current": now ? "true" : null }, h("kbd", {}, key), h("span", {}, name))))), h("p.soft", {}, t("escape")));
    box.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") { event.preventDefault(); box.close(""); return; }
      const row = rows.find(([key]) => key === event.key.toLowerCase());
      if (row) { event.preventDefault(); pick(row[1]); } else { more.key?.(event.key.toLowerCase()); }
    });
    box.addEventListener("close", () => { box.remove(); before?.focus?.(); resolve(box.returnValue); });
    document.body.append(box);
    box.showModal();
  });
}

export const chooseOther = () => menu(t("other.title"), OTHERS.slice(0, 3).map((value, n) => [String(n + 1), value, word("class", value)]));

/** Site by digit, side by r, l, m before it; null when it was left. */
export async function chooseSite(f) {
  let side = f.side;
  const buttons = Object.entries(SIDE_KEYS).map(([key, value]) => h("button", { type: "button", onclick: () => take(key) }, h("kbd", {}, key), h("span", {}, word("side", value))));
  const tell = () => buttons.forEach((b, n) => b.setAttribute("aria-pressed", String(Object.values(SIDE_KEYS)[n] === side)));
  const take = (key) => { if (SIDE_KEYS[key]) { side = SIDE_KEYS[key]; tell(); } };
  tell();
  const site = await menu(t("site.title"), SITES.map((value, n) => [SITE_KEYS[n], value, word("site", value), value === f.site]), { head: h("div.row", {}, buttons), key: take });
  return site ? { site, side: side === "n/a" ? "n/a" : side } : null;
}
