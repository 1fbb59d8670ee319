/* What lies over a slice: outlines of findings, the crosshair, letters, a scale, the brush. */

import { AXES, NORMAL } from "./geometry.js";
import { look } from "./model.js";

const COLOURS = { open: "#ffd23f", definite: "#ff6b5e", possible: "#ff9f8f", rejected: "#7fe3ff", unlikely: "#8a97a3", current: "#ffffff" };
const LETTERS = { axial: "RLAP", coronal: "RLSI", sagittal: "APSI" };

export function paint(c, dpr, view, at, pane, panes) {
  const { desk } = panes, { geometry } = pane.side;
  c.setTransform(dpr, 0, 0, dpr, 0, 0);
  c.clearRect(0, 0, view.width, view.height);
  if (panes.outlines && !pane.old && desk.labels) { outlines(c, view, at, geometry, desk); }
  cross(c, view, at);
  if (pane.whole && panes.field) { square(c, view, at, panes.field); }
  letters(c, view);
  bar(c, view);
  if (desk.brush.on && desk.brush.at && desk.brush.pane === pane) { circle(c, view, desk.brush); }
}

/** Edges between voxels of different findings, in the slice through `at`. */
function outlines(c, view, at, geometry, desk) {
  const [a, b] = AXES[view.plane], normal = NORMAL[view.plane], v = geometry.inside(at), { numbers, keys } = desk.labels;
  const corner = [view.toMm(view.width, view.height, at), view.toMm(0, 0, at)].map((mm) => geometry.voxelOfMm(mm));
  const from = (axis) => Math.max(0, Math.floor(corner[0][axis])), to = (axis) => Math.min(geometry.shape[axis] - 1, Math.ceil(corner[1][axis]));
  const stride = [1, geometry.shape[0], geometry.shape[0] * geometry.shape[1]], base = v[normal] * stride[normal], paths = new Map();
  const last = [geometry.shape[a] - 1, geometry.shape[b] - 1];
  const x = (i) => view.width / 2 - ((i * geometry.spacing[a] - geometry.size[a] / 2) - view.centre[a]) * view.scale;
  const y = (j) => view.height / 2 - ((j * geometry.spacing[b] - geometry.size[b] / 2) - view.centre[b]) * view.scale;
  for (let j = from(b); j <= to(b); j++) {
    for (let i = from(a); i <= to(a); i++) {
      const here = base + i * stride[a] + j * stride[b], n = numbers[here];
      if (!n) { continue; }
      let path = paths.get(n);
      if (!path) { paths.set(n, path = new Path2D()); }
      const edge = (x1, y1, x2, y2) => { path.moveTo(x(x1), y(y1)); path.lineTo(x(x2), y(y2)); };
      if (i === 0 || numbers[here - stride[a]] !== n) { edge(i, j, i, j + 1); }
      if (i === last[0] || numbers[here + stride[a]] !== n) { edge(i + 1, j, i + 1, j + 1); }
      if (j === 0 || numbers[here - stride[b]] !== n) { edge(i, j, i + 1, j); }
      if (j === last[1] || numbers[here + stride[b]] !== n) { edge(i, j + 1, i + 1, j + 1); }
    }
  }
  for (const [n, path] of paths) {
    const finding = desk.byKey(keys[n - 1]), current = finding && finding.key === desk.current;
    if (finding && !current && look(finding) === "unlikely" && !desk.unlikely) { continue; }
    c.lineWidth = current ? 4 : 3; c.strokeStyle = "rgba(0,0,0,.55)"; c.stroke(path);
    c.lineWidth = current ? 2 : 1.25; c.strokeStyle = current ? COLOURS.current : COLOURS[finding ? look(finding) : "open"]; c.stroke(path);
  }
}

function cross(c, view, at) {
  const [x, y] = view.toScreen(at), gap = Math.min(34, Math.max(9, 5 * view.scale));
  c.strokeStyle = "rgba(53,194,209,.8)"; c.lineWidth = 1; c.beginPath();
  for (const [x1, y1, x2, y2] of [[0, y, x - gap, y], [x + gap, y, view.width, y], [x, 0, x, y - gap], [x, y + gap, x, view.height]]) { c.moveTo(x1, y1); c.lineTo(x2, y2); }
  c.stroke();
}

function square(c, view, at, field) {
  const [x, y] = view.toScreen(at), side = field * view.scale;
  c.strokeStyle = "rgba(255,255,255,.7)"; c.lineWidth = 1; c.strokeRect(x - side / 2, y - side / 2, side, side);
}

function letters(c, view) {
  const [left, right, top, bottom] = LETTERS[view.plane];
  c.font = "600 11px system-ui, sans-serif"; c.fillStyle = "#fff"; c.strokeStyle = "rgba(0,0,0,.8)"; c.lineWidth = 3; c.textBaseline = "middle"; c.textAlign = "center";
  for (const [text, x, y] of [[left, 9, view.height / 2], [right, view.width - 9, view.height / 2], [top, view.width / 2, 30], [bottom, view.width / 2, view.height - 9]]) { c.strokeText(text, x, y); c.fillText(text, x, y); }
}

function bar(c, view) {
  const mm = [50, 20, 10, 5, 2, 1].find((n) => n * view.scale < view.width / 3) || 1, long = mm * view.scale;
  c.fillStyle = "#fff"; c.textAlign = "right"; c.font = "11px system-ui, sans-serif"; c.strokeStyle = "rgba(0,0,0,.8)"; c.lineWidth = 3;
  c.strokeText(`${mm} mm`, view.width - 8, view.height - 16); c.fillText(`${mm} mm`, view.width - 8, view.height - 16);
  c.fillRect(view.width - 8 - long, view.height - 8, long, 2);
}

function circle(c, view, brush) {
  const [x, y] = view.toScreen(brush.at);
  c.strokeStyle = brush.erase ? "#ff9f8f" : "#7dff9a"; c.lineWidth = 1.5; c.beginPath(); c.arc(x, y, Math.max(2, brush.radius * view.scale), 0, 7); c.stroke();
}
