/* Agreement of readers, and what is left to adjudicate. */

import { get, session } from "./api.js";
import { byId, h, number } from "./dom.js";
import { begin, onLanguage, t, word } from "./texts.js";

let told = null, disputes = [];

const is = (value) => value !== null && value !== undefined;
const range = (low, high, digits) => `${number(low, digits)} ${t("agreement.to")} ${number(high, digits)}`;

/** An index with its interval; what is not defined is empty, and the reason stands there. */
function interval(i, digits = 2) {
  const why = i?.why ? h("span.soft", { lang: "en" }, is(i.value) ? ` (${i.why})` : `– (${i.why})`) : null;
  return h("span", {}, is(i?.value) ? number(i.value, digits) : why ? null : "–", is(i?.low) ? ` (${range(i.low, i.high, digits)})` : null, why);
}
const f1 = (l) => interval({ value: l.f1, low: l.f1_low, high: l.f1_high, why: l.why });

function table(head, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell))))));
}

const box = (title, ...body) => h("section.box", {}, h("h2", {}, title), ...body);

/** Bias and limits of agreement on the scale of the differences, and around one count. */
function limits(b) {
  if (!is(b?.low)) { return is(b?.bias) ? `${number(b.bias, 2)} (n = ${b.n})` : "–"; }
  const around = Object.entries(b.counts_around).map(([n, [low, high]]) => t("agreement.around", { n, range: range(low, high, 1) }));
  return h("span", {}, `${number(b.bias, 2)} (${range(b.low, b.high, 2)})`, h("span.soft", {}, `; ${around.join(", ")}`));
}

const raters = (p) => p.readers.map((r, n) => (p.rounds && p.rounds[0] !== p.rounds[1] ? `${r} (${p.rounds[n]})` : r)).join(" / ");

function pairs(title, list) {
  const names = ["readers", "scans", "both", "first", "second", "f1", "kappa_presence", "kappa_category", "icc"].map((n) => t(n === "scans" ? "queue" : `agreement.${n}`));
  const more = ["readers", "positive", "negative", "bland_altman"].map((n) => t(`agreement.${n}`));
  return box(title, table(names, list.map((p) => [
    raters(p), String(p.scans), String(p.lesions.both), String(p.lesions.only_first), String(p.lesions.only_second),
    f1(p.lesions), interval(p.kappa_presence), interval(p.kappa_category), interval(p.icc_counts)])),
  table(more, list.map((p) => [raters(p), interval(p.positive_agreement), interval(p.negative_agreement), limits(p.bland_altman)])));
}

function everybody(overall, scans) {
  const head = ["", t("agreement.cases"), t("agreement.fleiss"), t("agreement.gwet"), t("agreement.icc")], own = overall.findings;
  return table(head, [
    [t("agreement.presence"), String(overall.scans ?? scans), interval(overall.fleiss), interval(overall.gwet_ac1), interval(overall.icc)],
    [t("agreement.verdicts"), String(own?.n ?? 0), interval(own?.fleiss), interval(own?.gwet_ac1), ""]]);
}

function said(by) {
  return h("span", {}, Object.entries(by).map(([who, d]) => `${who}: ${d.verdict === "accept" ? word("class", "microbleed") : d.class ? word("class", d.class) : t("undecided")}`).join(" · "));
}

function show() {
  if (!told) { return; }
  const { overall = {}, seconds = {}, finished = {}, undecided = {} } = told, people = told.readers || [];
  byId("round").value = told.round ?? "";
  byId("tables").replaceChildren(...[
    box(t("agreement.readers"), table([t("agreement.readers"), t("agreement.finished"), `${t("agreement.seconds")} (${t("agreement.median").toLowerCase()})`, t("agreement.undecided")],
      people.map((who) => [who, String(finished[who] ?? 0), seconds[who] ? number(seconds[who].median) : "–", String(undecided[who] ?? 0)])),
    h("p.soft", {}, t("agreement.export"), h("a", { href: "/api/export/decisions.tsv" }, "TSV"), " · ", h("a", { href: "/api/export/decisions.csv" }, "CSV"))),
    told.scans ? pairs(t("agreement.pairs"), told.pairs) : box(t("agreement.pairs"), h("p", {}, t("agreement.none"))),
    told.scans ? box(t("agreement.overall"), everybody(overall, told.scans), h("ul.soft", {}, (told.notes || []).map((n) => h("li", { lang: "en" }, n)))) : null,
    told.repeats?.length ? pairs(t("agreement.repeats"), told.repeats) : null,
    box(t("agreement.disputes"), disputes.length ? table([t("col.scan"), t("place"), t("agreement.readers"), ""], disputes.map((d) => [
      d.scan, `${d.place?.side && d.place.side !== "n/a" ? `${word("side", d.place.side)} ` : ""}${word("site", d.place?.site ?? "n/a")}`, said(d.by_reader),
      d.settled ? "✓" : told.round !== who?.round ? h("span.soft", {}, t("agreement.other", { n: who?.round })) : h("a", { href: `/scan/${encodeURIComponent(d.scan)}?adjudicate=1&finding=${encodeURIComponent(d.finding)}` }, t("agreement.adjudicate"))])) : h("p", {}, t("agreement.disputes.none"))),
  ].filter(Boolean));
  document.body.dataset.state = "ready";
}

async function load(round) {
  const query = round ? `?round=${round}` : "", message = byId("message");
  message.hidden = true;
  try {
    told = await get(`/api/agreement${query}`);
    const answer = await get(`/api/disagreements${query}`);
    disputes = Array.isArray(answer) ? answer : answer.disagreements;
    show();
  } catch (fault) {
    message.hidden = false; message.textContent = fault.told ? `${fault.told.what}. ${fault.told.mend}` : fault.message;
    document.body.dataset.state = "refused";
  }
}

const who = await session().catch(() => null);
await begin(who?.language);
byId("reader").textContent = who?.reader ?? "";
byId("round").addEventListener("change", (event) => load(Number(event.target.value) || null));
onLanguage(show);
load(null);
