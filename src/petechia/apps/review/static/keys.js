/* Shortcuts: one table, from which keys work and the help is written. */

import { choose, h } from "./dom.js";
import { t } from "./texts.js";

/** Group, then [keys, action]. Shown by their first two keys. */
export const KEYS = [
  ["go", [["n", "j"], "next"], [["p", "k"], "back"], [["Enter"], "enter"], [["/"], "search"], [["q"], "queue"]],
  ["decide", [["a"], "accept"], [["d"], "definite"], [["f"], "possible"], [["v"], "vessel"], [["c"], "calcification"], [["i"], "iron"], [["r"], "air_tissue"], [["o"], "other"], [["s"], "site"], [["u"], "undo"]],
  ["edit", [["g"], "add"], [["x"], "split"], [["m"], "merge"], [["b"], "brush"], [["e"], "erase"], [["["], "smaller"], [["]"], "larger"], [["Delete", "Backspace"], "remove"], [["Escape"], "cancel"]],
  ["view", [["l"], "labels"], [["w"], "windows"], [["+", "="], "in"], [["-"], "out"], [["0"], "whole"], [["t"], "plane"], [[",", "PageDown"], "down"], [[".", "PageUp"], "up"], [["z"], "echo"], [["y"], "compare"],
    [["1", "2", "3", "4", "5", "6", "7", "8"], "maximise"], [["?"], "help"]],
];
const ARROWS = { ArrowLeft: [0, 1], ArrowRight: [0, -1], ArrowUp: [1, 1], ArrowDown: [1, -1] };
const found = new Map(KEYS.flatMap(([, ...rows]) => rows.flatMap(([keys, action]) => keys.map((key) => [key, action]))));

/** Call `act(action, key)`; `move(side, by)` for arrows: side 0 across, 1 up. */
export function listenKeys(act, move) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) { return; }
    const typing = event.target.closest?.("input:not([type=checkbox]):not([type=range]), textarea, select");
    if (typing) { if (event.key === "Escape") { event.target.blur(); } return; }
    if (event.key === "Enter" && event.target.closest?.("button, a, summary")) { return; }
    if (ARROWS[event.key] && event.target.type !== "range") { event.preventDefault(); move(...ARROWS[event.key]); return; }
    const action = found.get(event.key.length === 1 && event.key !== "?" ? event.key.toLowerCase() : event.key);
    if (action) { event.preventDefault(); act(action, event.key); }
  });
}

export function showHelp() {
  const shown = (keys) => (keys.length > 2 ? [`${keys[0]} … ${keys.at(-1)}`] : keys[0] === "Delete" ? ["Del"] : keys).map((key) => h("kbd", {}, key));
  const body = h("div.keys", {}, KEYS.map(([group, ...rows]) => h("section", {}, h("h3", {}, t(`keys.${group}`)), h("dl", {}, rows.flatMap(([keys, action]) => [
    h("dt", {}, shown(keys)), h("dd", {}, t(`do.${action}`)),
  ])))), h("section", {}, h("h3", {}, t("keys.mouse")), h("ul", {}, ["click", "shift", "wheel", "ctrl", "right", "double"].map((k) => h("li", {}, t(`mouse.${k}`))))));
  return choose(t("help.title"), body, [["ok", t("close"), ".main"]]);
}
