/* The current finding: what is known of it, and the buttons that decide. */

import { h, number } from "./dom.js";
import { place, title } from "./findings.js";
import { language, t, word } from "./texts.js";

const DECIDE = [["definite", "d"], ["possible", "f"], ["vessel", "v"], ["calcification", "c"], ["iron", "i"], ["air_tissue", "r"], ["other", "o"]];
const EDIT = [["site", "s"], ["add", "g"], ["split", "x"], ["merge", "m"], ["brush", "b"], ["undo", "u"]];

export function showCard(root, f, desk) {
  const key = document.activeElement?.dataset?.action;
  const edit = h("div.edit", {}, EDIT.map(([action, k]) => button(action, k)), f?.origin === "reader" ? [button("remove", "Del")] : null);
  root.replaceChildren(...(f ? known(f, desk, edit) : [h("p.soft", {}, t("none")), edit]));
  if (key) { root.querySelector(`[data-action="${key}"]`)?.focus(); }
}

const button = (action, key, on = false) => h(`button.act.${action}`, { type: "button", data: { action }, "aria-pressed": on ? "true" : null }, h("kbd", {}, key), h("span", {}, t(`short.${action}`)));

function known(f, desk, edit) {
  const own = f.software, d = f.decision, te = desk.opened.summary?.reading_te_s, read = te ? `, ${t("at.te", { te: number(te * 1000) })}` : "";
  const facts = [
    [t("place"), place(f) + (f.compartment !== "n/a" ? ` (${word("compartment", f.compartment)})` : "")],
    own && [t("probability"), h("span.probability", {}, meter(own.probability), number(own.probability, 2))],
    own && [t("sign"), word("sign", own.sign)],
    [t("diameter"), f.diameter_mm === null ? "–" : `${number(f.diameter_mm)} mm, ${number(f.volume_mm3)} mm³${read}`],
    own && own.moment_ppm_mm3 !== null && [t("moment"), `${number(own.moment_ppm_mm3, 2)} ± ${number(own.moment_se_ppm_mm3, 2)} ppm mm³`],
    own && [t("software"), `${word("class", own.class)}${own.mars !== "n/a" ? `, ${word("mars", own.mars)}` : ""}`],
    f.seconds ? [t("time"), `${number(f.seconds)} s`] : null,
  ].filter(Boolean);
  return [
    h("h2", {}, `${desk.number(f.key)}. `, f.class ? title(f) : t("undecided")),
    h(`p.verdict.${d ? d.verdict : "none"}`, {}, d ? t(d.verdict === "accept" ? "accepted" : "rejected", { class: word("class", d.class), mars: d.mars ? word("mars", d.mars) : "" }) : t(f.asked ? "asked" : "unasked"), f.waiting ? " …" : ""),
    f.too_wide ? h("p.warn", {}, t("too_wide")) : null,
    h("div.decide", {}, button("accept", "a", d?.verdict === "accept"), DECIDE.map(([action, key]) => button(action, key, pressed(d, f, action)))),
    edit,
    h("dl.facts", {}, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    own && own.evidence && own.evidence !== "n/a" ? h("details.evidence", { open: true }, h("summary", {}, t("evidence")), h("ul", {}, own.evidence.split(";").map((one) => h("li", { lang: language() === "en" ? null : "en" }, one.trim())))) : null,
    desk.votes(f) ? h("div.votes", {}, h("h3", {}, t("votes")), h("ul", {}, desk.votes(f).map(([who, said]) => h("li", {}, `${who}: ${said}`)))) : null,
    h("label.note", {}, t("note"), h("textarea", { rows: 2, maxLength: 4000, value: f.notes.at(-1)?.text ?? "", onchange: (event) => desk.note(f.key, event.target.value) })),
  ].filter(Boolean);
}

function pressed(d, f, action) {
  if (!d) { return false; }
  if (d.verdict === "accept") { return action === f.mars; }
  return d.class === action || (action === "other" && ["undetermined", "macrobleed", "siderosis"].includes(d.class));
}

function meter(p) {
  const made = h("meter", { min: 0, max: 1 });
  made.value = p ?? 0;
  return made;
}
