/* Words of the pages: one catalogue a language; English stands in for what is missing. */

const KEY = "petechia.language";
const LANGUAGES = { en: "English", zh: "中文" };
let words = {}, english = {}, now = "en";
const watchers = [];

const load = async (language) => (await fetch(`/static/texts/${language}.json`)).json();

/** The text of `key`, its {names} filled in. */
export function t(key, values = {}) {
  const text = words[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A word of a vocabulary (class, site, ...); unknown ones as they are. */
export const word = (kind, value) => (words[`${kind}.${value}`] ?? english[`${kind}.${value}`] ?? String(value ?? "").replace(/_/g, " "));

export const language = () => now;

/** Fill what the page marks with data-t (text), data-title, data-label, data-hint. */
export function fill(root = document) {
  for (const e of root.querySelectorAll("[data-t]")) { e.textContent = t(e.dataset.t); }
  for (const e of root.querySelectorAll("[data-title]")) { e.title = t(e.dataset.title); }
  for (const e of root.querySelectorAll("[data-label]")) { e.setAttribute("aria-label", t(e.dataset.label)); }
  for (const e of root.querySelectorAll("[data-hint]")) { e.placeholder = t(e.dataset.hint); }
}

async function use(language) {
  now = language in LANGUAGES ? language : "en";
  words = now === "en" ? english : await load(now);
  document.documentElement.lang = now === "zh" ? "zh-Hans" : now;
  fill();
  for (const one of watchers) { one(); }
}

export const onLanguage = (work) => watchers.push(work);

/** Load the words: those chosen in this browser, else the server's language; and fill the switch. */
export async function begin(usual) {
  english = await load("en");
  await use(localStorage.getItem(KEY) || usual || "en");
  const box = document.getElementById("language");
  if (!box) { return; }
  for (const [code, name] of Object.entries(LANGUAGES)) { box.add(new Option(name, code)); }
  box.value = now;
  box.addEventListener("change", () => { localStorage.setItem(KEY, box.value); use(box.value); });
}
