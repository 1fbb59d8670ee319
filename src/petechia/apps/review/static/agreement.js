/* Agreement of readers, and what is left to adjudicate. */

import { get, session } from "./api.js";
import { byId, h, number } from "./dom.js";
import { begin, onLanguage, t, word } from "./texts.js";

let told = null, disputes = [];

const interval = (i, digits = 2) => (!i || i.value === null || i.value === undefined ? (i?.why ? h("span.soft", { title: i.why }, "–") : "–") : `${number(i.value, digits)}${i.low === null || i.low === undefined ? "" : ` (${number(i.low, digits)}–${number(i.high, digits)})`}`);
const f1 = (l) => interval({ value: l.f1, low: l.f1_low, high: l.f1_high, why: l.why });

function table(head, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell))))));
}

const box = (title, ...body) => h("section.box", {}, h("h2", {}, title), ...body);

function pairs(title, list) {
  const names = ["readers", "scans", "both", "first", "second", "f1", "kappa_presence", "kappa_category", "icc"].map((n) => t(n === "scans" ? "queue" : `agreement.${n}`));
  return box(title, table(names, list.map((p) => [
    p.readers.map((r, n) => (p.rounds && p.rounds[0] !== p.rounds[1] ? `${r} (${p.rounds[n]})` : r)).join(" / "), String(p.scans), String(p.lesions.both), String(p.lesions.only_first), String(p.lesions.only_second),
    f1(p.lesions), interval(p.kappa_presence), interval(p.kappa_category), interval(p.icc_counts)])));
}

function said(by) {
  return h("span", {}, Object.entries(by).map(([who, d]) => `${who}: ${d.verdict === "accept" ? word("class", "microbleed") : d.class ? word("class", d.class) : t("undecided")}`).join(" · "));
}

function show() {
  if (!told) { return; }
  const { overall = {}, seconds = {}, finished = {}, undecided = {} } = told, people = told.readers || [];
  const round = new URLSearchParams(told.round ? { round: told.round } : {});
  byId("round").value = told.round ?? "";
  byId("tables").replaceChildren(...[
    box(t("agreement.readers"), table([t("agreement.readers"), t("agreement.finished"), `${t("agreement.seconds")} (${t("agreement.median").toLowerCase()})`, t("agreement.undecided")],
      people.map((who) => [who, String(finished[who] ?? 0), seconds[who] ? number(seconds[who].median) : "–", String(undecided[who] ?? 0)])),
    h("p.soft", {}, t("agreement.export"), h("a", { href: "/api/export/decisions.tsv" }, "TSV"), " · ", h("a", { href: "/api/export/decisions.csv" }, "CSV"))),
    told.scans ? pairs(t("agreement.pairs"), told.pairs) : box(t("agreement.pairs"), h("p", {}, t("agreement.none"))),
    told.scans ? box(t("agreement.overall"), table([t("queue"), t("agreement.fleiss"), t("agreement.gwet"), t("agreement.icc")], [[String(overall.scans ?? told.scans), interval(overall.fleiss), interval(overall.gwet_ac1), interval(overall.icc)]]), h("ul.soft", {}, (told.notes || []).map((n) => h("li", { lang: "en" }, n)))) : null,
    told.repeats?.length ? pairs(t("agreement.repeats"), told.repeats) : null,
    box(t("agreement.disputes"), disputes.length ? table([t("col.scan"), t("place"), t("agreement.readers"), ""], disputes.map((d) => [
      d.scan, `${d.place?.side && d.place.side !== "n/a" ? `${word("side", d.place.side)} ` : ""}${word("site", d.place?.site ?? "n/a")}`, said(d.by_reader),
      d.settled ? "✓" : h("a", { href: `/scan/${encodeURIComponent(d.scan)}?adjudicate=1&finding=${encodeURIComponent(d.finding)}&${round}` }, t("agreement.adjudicate"))])) : h("p", {}, t("agreement.disputes.none"))),
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
