/* The scan's state as the server told it, with what is still on its way added for the eye. */

/** Return a copy of `state` with `events` taken as the server will take them. */
export function withPending(state, events) {
  if (!events.length) { return state; }
  const out = { ...state, findings: state.findings.map((f) => ({ ...f })) };
  for (const event of events) {
    const f = out.findings.find((one) => one.key === event.finding), p = event.payload;
    switch (event.kind) {
      case "decide": if (f) { decide(f, event, p); } break;
      case "site": if (f) { f.site = p.site; f.side = p.side; } break;
      case "add": if (!f) { out.findings.push(added(event, p)); } break;
      case "remove": out.findings = out.findings.filter((one) => one !== f); break;
      case "finish": out.finished = true; break;
      case "reopen": out.finished = false; break;
      case "siderosis": out.siderosis = { note: "", ...p }; break;
      case "note": noted(out, f, event, p); break;
      default: if (f) { f.waiting = true; }
    }
    if (f) { f.waiting = true; }
  }
  out.n_undecided = out.findings.filter((f) => f.asked && !f.decision).length;
  out.counted = out.findings.filter((f) => f.counted).length;
  return out;
}

function decide(f, event, p) {
  const own = f.software;
  if (p.verdict === "clear") {
    f.decision = null;
    Object.assign(f, { class: own ? own.class : null, counted: own ? own.counted : null, mars: own ? own.mars : null });
    return;
  }
  const accepted = p.verdict === "accept", class_ = p.class || (accepted ? "microbleed" : "undetermined");
  f.decision = { verdict: p.verdict, class: class_, mars: p.mars || "", reason: p.reason || "", event: 0 };
  const grade = p.mars || (own && own.mars !== "n/a" ? own.mars : "possible");
  Object.assign(f, { class: class_, counted: accepted, mars: accepted ? grade : "n/a" });
}

function added(event, p) {
  const accepted = p.class === "microbleed";
  return {
    key: event.finding, index: null, name: "", origin: "reader", parents: [], asked: true, x_mm: p.x_mm, y_mm: p.y_mm, z_mm: p.z_mm,
    site: p.site || "n/a", side: p.side || "n/a", compartment: "n/a", volume_mm3: null, diameter_mm: null, class: p.class, counted: accepted,
    mars: p.mars || (accepted ? "possible" : "n/a"), too_wide: false, outline_changed: true, notes: [], seconds: 0, last_event: 0, software: null,
    decision: { verdict: accepted ? "accept" : "reject", class: p.class, mars: p.mars || "", reason: "", event: 0 }, votes: {}, disagreement: "",
  };
}

function noted(out, f, event, p) {
  const note = { finding: event.finding, text: p.text, reader: out.reader, event: 0, at: "" };
  if (f) { f.notes = [...f.notes.filter((n) => n.reader !== out.reader), note]; } else if (!event.finding) { out.notes = [...out.notes, note]; }
}

/** The number of each finding in report, table and label image; +1, +2 for what a reader added. To a blind reader, its place. */
export function numbered(state) {
  let added = 0;
  return new Map(state.findings.map((f, n) => {
    const own = /^s(\d+(?:\.\d+)*)$/.exec(f.key);
    return [f.key, !own ? `+${added += 1}` : state.blind ? String(n + 1) : own[1]];
  }));
}

/** How a finding looks on lists and images. */
export function look(f) {
  if (!f.decision) { return f.asked ? "open" : "unlikely"; }
  return f.decision.verdict === "accept" ? f.mars === "definite" ? "definite" : "possible" : "rejected";
}

/** The findings a reader goes through, in order: asked ones first, then, when they are shown, the rest. */
export function listed(state, { unlikely = false, search = "" } = {}) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return state.findings.filter((f) => (f.asked || f.decision || unlikely) && words.every((w) => searched(f).includes(w)));
}

const searched = (f) => [f.key, f.name, f.class, f.site, f.side, f.compartment, f.decision?.mars].join(" ").replace(/_/g, " ").toLowerCase();

/** The next finding to decide after `key`, in the list's order and round its end; null when all are. */
export function nextOpen(list, key) {
  const here = list.findIndex((f) => f.key === key), order = [...list.slice(here + 1), ...list.slice(0, Math.max(0, here))];
  return order.find((f) => f.asked && !f.decision)?.key ?? null;
}

/** The finding whose centre is nearest to a place in the scanner [mm]. */
export function nearest(state, world, within = 6) {
  let best = null, least = within;
  for (const f of state.findings) {
    const d = Math.hypot(f.x_mm - world[0], f.y_mm - world[1], f.z_mm - world[2]);
    if (d < least) { least = d; best = f; }
  }
  return best;
}
