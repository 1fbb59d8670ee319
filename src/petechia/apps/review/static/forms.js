/* The forms below the images: they fill themselves; a cell can be overridden with a reason. */

import { choose, h } from "./dom.js";
import { t, word } from "./texts.js";

const SIDES = ["right", "left", "midline", "n/a"];
const MARS = {
  infratentorial: ["brainstem", "cerebellum"],
  deep: ["basal_ganglia", "thalamus", "internal_capsule", "external_capsule", "corpus_callosum", "deep_periventricular_wm"],
  lobar: ["frontal", "parietal", "temporal", "occipital", "insula"], "n/a": ["n/a"],
};
const BOMBS = ["lobar", "basal_ganglia_grey", "internal_external_capsule", "thalamus", "brainstem", "cerebellum", "no_row"];
const CELLS = { mars: ["definite", "possible"], bombs: ["certain_below_5_mm", "certain_5_to_10_mm", "uncertain_below_5_mm", "uncertain_5_to_10_mm"] };
const SCALES = ["boston_2", "aria_h", "total_svd", "caa_svd"];
const EXTENTS = ["none", "focal", "disseminated"];
const FOCAL_SULCI = 3; /* more are disseminated */

/** Show all forms of `state`; `put(kind, payload)` sends what a reader fills in. */
export function showForms(root, state, put) {
  const focus = root.contains(document.activeElement) ? document.activeElement.dataset.cell : null;
  root.replaceChildren(
    table("mars", Object.entries(MARS).flatMap(([group, sites]) => sites.map((site) => [site, word("site", site), word("compartment", group)])), state, put),
    table("bombs", BOMBS.map((row) => [row, word("bombs", row), ""]), state, put),
    scales(state, put), siderosis(state, put), notes(state, put),
  );
  if (focus) { root.querySelector(`[data-cell="${CSS.escape(focus)}"]`)?.focus(); }
}

function table(form, rows, state, put) {
  const cells = state.forms?.[form] ?? {}, columns = CELLS[form];
  const sum = (column) => rows.reduce((all, [row]) => all + SIDES.reduce((s, side) => s + (cells[`${row}/${column}/${side}`]?.value ?? 0), 0), 0);
  return h("section.form", {}, h("h3", {}, t(`form.${form}`)), h("div.wide", {}, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { rowSpan: 2 }, t("place")), columns.map((c) => h("th", { colSpan: 4, scope: "colgroup" }, word("form", c)))),
      h("tr", {}, columns.flatMap(() => SIDES.map((side) => h("th", { scope: "col", title: word("side", side) }, t(`side.short.${side}`)))))),
    h("tbody", {}, rows.map(([row, name]) => h("tr", {}, h("th", { scope: "row" }, name), columns.flatMap((column) => SIDES.map((side) => {
      const key = `${row}/${column}/${side}`;
      return h("td", {}, cell(form, key, cells[key], `${name}, ${word("form", column)}, ${word("side", side)}`, put));
    }))))),
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, t("all")), columns.map((column) => h("td", { colSpan: 4 }, String(sum(column)))))))));
}

function cell(form, key, told, name, put) {
  const value = told?.value ?? 0, over = told?.override;
  return h(`button.cell${value ? "" : ".zero"}${over ? ".over" : ""}`, {
    type: "button", data: { cell: `${form}/${key}` }, "aria-label": `${name}: ${value}`, title: over ? `${t("override.was", { value: told.computed })} ${over.reason}` : null,
    onclick: () => override(form, key, name, told, value, put),
  }, String(value));
}

async function override(form, row, name, told, value, put) {
  const number = form !== "scale", box = h("input", { type: number ? "number" : "text", min: 0, max: 9999, value: String(value), required: true, autofocus: true }), reason = h("input", { type: "text", required: true, maxLength: 1000 });
  const buttons = [["put", t("override.put"), ".main"], ...(told?.override ? [["back", t("override.back")]] : []), ["", t("cancel")]];
  const body = h("div.fields", {}, h("p", {}, name), h("label", {}, t("value"), box), h("label", {}, t("reason"), reason), h("p.soft", {}, t("override.computed", { value: told?.computed ?? (number ? 0 : "–") })));
  const does = choose(t("override.title"), body, buttons);
  box.closest("form").querySelectorAll("button:not([value=put])").forEach((b) => { b.formNoValidate = true; });
  const answer = await does;
  if (answer === "put" && reason.value.trim()) { put("form", { form, row, value: number ? Number(box.value) : box.value.trim(), reason: reason.value.trim() }); }
  if (answer === "back") { put("form", { form, row, value: null, reason: reason.value.trim() || t("override.back") }); }
}

/** An answer of a scale in words: `at_least_...` is said of any. */
function answered(value) {
  const least = /^at_least_(.+)$/.exec(value);
  return least ? t("answer.at_least", { answer: word("answer", least[1]) }) : word("answer", value);
}

function scales(state, put) {
  const cells = state.forms?.scale ?? {};
  return h("section.form", {}, h("h3", {}, t("form.scale")), h("dl.facts", {}, SCALES.flatMap((name) => {
    const told = cells[name], over = told?.override;
    return [h("dt", {}, word("scale", name)), h("dd", {}, h(`button.cell.text${over ? ".over" : ""}`, { type: "button", data: { cell: `scale/${name}` }, title: over?.reason ?? null, onclick: () => override("scale", name, word("scale", name), told, told?.value ?? "", put) }, told?.value === undefined || told.value === null ? "–" : answered(told.value)))];
  })));
}

function siderosis(state, put) {
  const now = state.siderosis, extent = h("select", { data: { cell: "extent" } }, [h("option", { value: "" }, "–"), ...EXTENTS.map((e) => h("option", { value: e }, word("extent", e)))]);
  const sulci = h("input", { type: "number", min: 0, max: 99, data: { cell: "sulci" }, value: now?.sulci ?? "" }), note = h("input", { type: "text", maxLength: 4000, data: { cell: "siderosis-note" }, value: now?.note ?? "" });
  extent.value = now?.extent ?? "";
  const send = (event) => {
    if (!extent.value) { return; }
    const many = sulci.value === "" ? 0 : Number(sulci.value), other = event.target === extent && (many > FOCAL_SULCI) !== (extent.value === "disseminated");
    const n = extent.value === "none" ? 0 : many === 0 || other ? null : many; /* a number of another extent is not kept */
    put("siderosis", { extent: extent.value, sulci: n, ...(note.value.trim() ? { note: note.value.trim() } : {}) });
  };
  for (const box of [extent, sulci, note]) { box.addEventListener("change", send); }
  return h("section.form", {}, h("h3", {}, t("form.siderosis")), h("div.fields", {}, h("label", {}, t("extent"), extent), h("label", {}, t("sulci"), sulci), h("label", {}, t("note"), note)));
}

function notes(state, put) {
  const box = h("textarea", { rows: 3, maxLength: 4000, "aria-label": t("form.notes"), data: { cell: "scan-note" }, value: state.notes.at(-1)?.text ?? "" });
  box.addEventListener("change", () => put("note", { text: box.value.trim() }));
  return h("section.form", {}, h("h3", {}, t("form.notes")), box);
}
