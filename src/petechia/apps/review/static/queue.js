/* The queue: search, filter, order, pages; click or Enter opens a scan. */

import { get, session } from "./api.js";
import { byId, h, number } from "./dom.js";
import { begin, onLanguage, t, word } from "./texts.js";

const LIMIT = 100, STATES = ["", "new", "open", "done"], SORTS = ["attention", "name", "count"];
const NAMES = ["scan", "state", "undecided", "findings", "counted", "category", "time", "prior"];
const want = { search: "", state: "", sort: "attention", offset: 0, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
want.offset = Number(want.offset) || 0;
let told = null, asked = 0;

async function load() {
  const mine = ++asked, words = new URLSearchParams({ ...want, limit: LIMIT });
  history.replaceState(null, "", `#${new URLSearchParams({ state: want.state, sort: want.sort, offset: want.offset })}`);
  try {
    const page = await get(`/api/scans?${words}`);
    if (mine === asked) { told = page; show(); }
  } catch (fault) { byId("message").hidden = false; byId("message").textContent = fault.status === 401 ? t("saved.link") : fault.message; byId("message").dataset.kind = "bad"; }
}

const address = (scan) => `/scan/${encodeURIComponent(scan)}`;

function row(s) {
  const time = s.seconds ? `${Math.floor(s.seconds / 60)}:${String(Math.round(s.seconds % 60)).padStart(2, "0")}` : "";
  const name = s.problem ? h("span", {}, s.scan) : h("a", { href: address(s.scan) }, s.scan);
  return h("tr", { data: s.problem ? {} : { scan: s.scan } }, h("td", {}, name, s.warning && h("span", { role: "img", "aria-label": s.warning, title: s.warning }, " ⚠")), s.problem ? h("td", { colSpan: 7 }, s.problem) : [
    h("td", {}, h(`span.chip.${s.state}`, {}, t(`state.${s.state}`))), h("td.num", {}, String(s.n_undecided)), h("td.num", {}, String(s.n_findings)),
    h("td.num", {}, s.counted === null ? "" : number(s.counted, 0)), h("td", {}, s.category ? word("category", s.category) : ""), h("td.num", {}, time), h("td", {}, s.prior ? "✓" : ""),
  ]);
}

function show() {
  if (!told) { return; }
  const { counts, scans, total } = told, all = counts.new + counts.open + counts.done;
  byId("head").replaceChildren(h("tr", {}, NAMES.map((name) => h("th", { scope: "col", className: ["undecided", "findings", "counted", "time"].includes(name) ? "num" : "" }, t(`col.${name}`)))));
  byId("scans").replaceChildren(...(scans.length ? scans.map(row) : [h("tr", {}, h("td", { colSpan: 8 }, t("queue.empty")))]));
  byId("bar").value = all ? counts.done / all : 0;
  byId("done").textContent = `${counts.done} / ${all}`;
  byId("states").replaceChildren(...STATES.map((state) => h("button", { type: "button", "aria-pressed": String(want.state === state), onclick: () => { want.state = state; want.offset = 0; load(); } }, `${t(`state.${state}`)} ${state ? counts[state] : all}`)));
  byId("sort").replaceChildren(...SORTS.map((sort) => h("option", { value: sort, selected: sort === want.sort }, t(`sort.${sort}`))));
  byId("page").textContent = total ? t("queue.page", { first: want.offset + 1, last: want.offset + scans.length, all: total }) : "";
  byId("less").disabled = want.offset === 0;
  byId("more").disabled = want.offset + LIMIT >= total;
  const next = scans.find((s) => s.state !== "done" && !s.problem);
  byId("resume").hidden = !next;
  if (next) { byId("resume").href = address(next.scan); }
  document.body.dataset.state = "ready";
}

const who = await session().catch(() => null);
await begin(who?.language);
byId("reader").textContent = who ? `${who.reader}${who.round > 1 ? ` · ${t("round", { n: who.round })}` : ""}` : "";
byId("search").value = want.search;
let typing = 0;
byId("search").addEventListener("input", (event) => { want.search = event.target.value; want.offset = 0; clearTimeout(typing); typing = setTimeout(load, 150); });
byId("sort").addEventListener("change", (event) => { want.sort = event.target.value; want.offset = 0; load(); });
byId("less").addEventListener("click", () => { want.offset = Math.max(0, want.offset - LIMIT); load(); });
byId("more").addEventListener("click", () => { want.offset += LIMIT; load(); });
byId("scans").addEventListener("click", (event) => { const tr = event.target.closest("tr[data-scan]"); if (tr && !event.target.closest("a")) { location.assign(address(tr.dataset.scan)); } });
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, button, a")) { return; }
  if (event.key === "/") { event.preventDefault(); byId("search").focus(); }
  if (event.key === "Enter" && !byId("resume").hidden) { location.assign(byId("resume").href); }
});
onLanguage(show);
load();
