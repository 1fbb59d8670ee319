/* Elements, without a framework. */

/** Make an element: h("button.big", {type: "button", onclick}, "text", child). */
export function h(what, options = {}, ...children) {
  const [tag, ...classes] = what.split("."), made = document.createElement(tag);
  if (classes.length) { made.className = classes.join(" "); }
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) { continue; }
    if (name.startsWith("on")) { made.addEventListener(name.slice(2), value); } else if (name === "data") { Object.assign(made.dataset, value); } else if (name in made && name !== "list" && name !== "form") { made[name] = value; } else { made.setAttribute(name, value === true ? "" : value); }
  }
  made.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A number for people: a true minus, "n/a" for none. */
export function number(value, digits = 1) {
  return value === null || value === undefined ? "–" : Number(value).toFixed(digits).replace("-", "\u2212");
}

/** Ask in a dialog; resolves to the pressed button's value, "" when it was closed. */
export function choose(title, body, buttons) {
  const box = h("dialog.ask", { "aria-label": title }), before = document.activeElement;
  return new Promise((resolve) => {
    const form = h("form", { method: "dialog" }, h("h2", {}, title), body, h("div.row", {}, buttons.map(([value, text, kind = ""]) => h(`button${kind}`, { value }, text))));
    box.append(form);
    box.addEventListener("close", () => { box.remove(); before?.focus?.(); resolve(box.returnValue || ""); });
    box.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") { event.preventDefault(); box.close(""); return; }
      const digit = Number(event.key);
      if (digit >= 1 && digit <= buttons.length && !/input|textarea/i.test(event.target.tagName)) { event.preventDefault(); box.close(buttons[digit - 1][0]); }
    });
    document.body.append(box);
    box.showModal();
  });
}
