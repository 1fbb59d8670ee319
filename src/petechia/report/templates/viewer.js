(function () {
"use strict";
var byId = function (id) { return document.getElementById(id); };
document.documentElement.classList.add("js");

/* --- the text to paste */
var copy = byId("copy-text");
if (copy) {
  copy.addEventListener("click", function () {
    var text = byId("short-text"), say = byId("copy-state"), done = copy.dataset.done;
    var byHand = function () {
      var range = document.createRange(), chosen = getSelection();
      range.selectNodeContents(text); chosen.removeAllRanges(); chosen.addRange(range);
      say.textContent = document.execCommand("copy") ? done : copy.dataset.failed;
    };
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text.textContent).then(function () { say.textContent = done; }, byHand);
    } else { byHand(); }
  });
}

/* --- the viewer */
var root = byId("viewer"), source = byId("viewer-settings");
if (!root || !source) { return; }
var told = JSON.parse(source.textContent), words = told.texts;
var state = byId("viewer-state"), stage = byId("viewer-stage");
var KINDS = { axial: 0, coronal: 1, sagittal: 2 }, NORMAL = { axial: 2, coronal: 1, sagittal: 0 };
var LOOKS = { R: [0, 255, 255, 90], G: [0, 90, 170, 220], B: [0, 70, 40, 255], A: [0, 255, 255, 255], I: [0, 1, 2, 3], labels: ["", "", "", ""] };
var panes = [], plane = told.plane, zoom = 1, at = told.size_mm.map(function () { return 0; }), current = null, ready = false, wanted = null;

function refuse(why) { state.textContent = words.failed + (why ? " (" + why + ")" : ""); root.classList.add("failed"); }

function unpack(id) {
  var raw = atob(byId(id).textContent.trim().replace(/-/g, "+").replace(/_/g, "/"));
  var bytes = new Uint8Array(raw.length);
  for (var n = 0; n < raw.length; n++) { bytes[n] = raw.charCodeAt(n); }
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/* A NIfTI-1 file of 8-bit numbers whose axes run to right, anterior, superior, its middle at 0. */
function nifti(volume, numbers) {
  var file = new ArrayBuffer(352 + numbers.byteLength), head = new DataView(file), i;
  head.setInt32(0, 348, true); head.setInt16(40, 3, true);
  for (i = 0; i < 7; i++) { head.setInt16(42 + 2 * i, i < 3 ? volume.shape[i] : 1, true); }
  head.setInt16(70, 2, true); head.setInt16(72, 8, true);
  head.setFloat32(76, 1, true);
  for (i = 0; i < 3; i++) { head.setFloat32(80 + 4 * i, volume.spacing[i], true); }
  head.setFloat32(108, 352, true); head.setFloat32(112, volume.slope, true); head.setFloat32(116, volume.inter, true);
  head.setUint8(123, 2); head.setFloat32(124, volume.high, true); head.setFloat32(128, volume.low, true);
  head.setInt16(254, 1, true);
  for (i = 0; i < 3; i++) {
    head.setFloat32(280 + 16 * i + 4 * i, volume.spacing[i], true);
    head.setFloat32(280 + 16 * i + 12, (volume.spacing[i] - told.size_mm[i]) / 2, true);
  }
  [110, 43, 49, 0].forEach(function (c, n) { head.setUint8(344 + n, c); });
  new Uint8Array(file, 352).set(new Uint8Array(numbers));
  return file;
}

function start() {
  if (typeof DecompressionStream === "undefined") { return Promise.reject(new Error("DecompressionStream")); }
  var probe = document.createElement("canvas").getContext("webgl2");
  if (!probe) { return Promise.reject(new Error("WebGL2")); }
  var lose = probe.getExtension("WEBGL_lose_context"); if (lose) { lose.loseContext(); }
  var files = {};
  return unpack("viewer-library").then(function (code) {
    var run = document.createElement("script");
    run.textContent = new TextDecoder().decode(code);
    document.head.appendChild(run);
    if (!window.niivue) { throw new Error("NiiVue"); }
    return Promise.all(Object.keys(told.volumes).map(function (name) {
      return unpack("volume-" + name).then(function (numbers) { files[name] = nifti(told.volumes[name], numbers); });
    }));
  }).then(function () {
    stage.hidden = false;
    return Object.keys(told.panes).reduce(function (before, name) {
      return before.then(function () { return pane(name, files); });
    }, Promise.resolve());
  });
}

/* At every change NiiVue computes the gradients that light a 3-D rendering. Slices need none,
   and they cost most of the time and memory: their drawing is left out, their textures are 1 voxel. */
function withoutGradients(nv) {
  var gl = nv.gl, off = false, texture = nv.rgbaTex.bind(nv);
  var keep = function (name, answer) {
    var real = gl[name].bind(gl);
    gl[name] = function () { return off ? answer : real.apply(null, arguments); };
  };
  keep("drawArrays"); keep("framebufferTextureLayer"); keep("checkFramebufferStatus", gl.FRAMEBUFFER_COMPLETE);
  var drop = gl.deleteFramebuffer.bind(gl);
  gl.deleteFramebuffer = function (one) { off = false; drop(one); };
  nv.blurShader = { use: function () { off = true; }, uniforms: {} };
  nv.sobelFirstOrderShader = { use: function () { return undefined; }, uniforms: {} };
  nv.rgbaTex = function (old, unit, dims, blank) {
    var gradient = unit === gl.TEXTURE6 || (unit === gl.TEXTURE8 && blank);
    return texture(old, unit, gradient ? [3, 1, 1, 1] : dims, blank);
  };
}

function pane(name, files) {
  var canvas = byId("canvas-" + name), mode = window.niivue.DRAG_MODE;
  var nv = new window.niivue.Niivue({
    backColor: [0, 0, 0, 1], crosshairColor: [0.21, 0.76, 0.82, 0.9], crosshairWidth: 1, crosshairGap: 6, crosshairWidthUnit: "mm",
    isRadiologicalConvention: true, isSliceMM: true, sagittalNoseLeft: true, dragAndDropEnabled: false, isOrientationTextVisible: true, showAllOrientationMarkers: true,
    fontColor: [1, 1, 1, 1], show3Dcrosshair: false, isColorbar: false, logLevel: "error", loadingText: "", scrollRequiresFocus: true,
    dragMode: mode.windowing, clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "", fontMinPx: 11, fontSizeScaling: 0.3
  });
  return nv.attachToCanvas(canvas, false).then(function () {
    withoutGradients(nv);
    return Promise.all(told.panes[name].volumes.map(function (key) {
      var v = told.volumes[key], lut = key === "labels";
      return window.niivue.NVImage.new(files[key].slice(0), key + ".nii", "gray", lut ? 0.7 : 1, null, v.low, v.high).then(function (image) {
        if (lut) { image.setColormapLabel(LOOKS); }
        return image;
      });
    }));
  }).then(function (images) {
    images.forEach(function (image) { nv.addVolume(image); });
    nv.setSliceType(KINDS[plane]);
    if (name === "labels") { nv.setInterpolation(false); }
    var one = { name: name, nv: nv, canvas: canvas, windows: nv.volumes[0] };
    nv.onLocationChange = function () { moved(one); };
    panes.push(one);
  });
}

function moved(one) {
  if (!ready) { return; }
  at = Array.from(one.nv.frac2mm(one.nv.scene.crosshairPos)).slice(0, 3);
  show(one);
}

/* Put every pane where `at` is; with a zoom the place stands in the middle. */
function show(but) {
  panes.forEach(function (other) {
    var nv = other.nv;
    if (other !== but) { nv.scene.crosshairPos = nv.mm2frac(at); }
    if (other !== but || zoom === 1) {
      nv.scene.pan2Dxyzmm = zoom === 1 ? [0, 0, 0, 1] : [-zoom * at[0], -zoom * at[1], -zoom * at[2], zoom];
    }
    nv.drawScene();
  });
  tell();
}

function voxel() { return at.map(function (x, i) { return (x + told.size_mm[i] / 2) / told.step_mm[i] - 0.5; }); }

function tell() {
  var v = voxel(), world = told.to_mm.map(function (row) { return row[0] * v[0] + row[1] * v[1] + row[2] * v[2] + row[3]; });
  root.dataset.at = world.map(function (x) { return x.toFixed(1); }).join(" ");
  byId("viewer-place").textContent = world.map(function (x) { return x.toFixed(1).replace("-", "\u2212"); }).join(", ") + " mm";
  panes.forEach(function (one) {
    var v = told.volumes[one.name], out = byId("value-" + one.name);
    if (!out || one.name === "labels") { return; }
    var f = one.nv.mm2frac(at).map(function (x, i) { return Math.min(v.shape[i] - 1, Math.max(0, Math.floor(x * v.shape[i]))); });
    var stored = one.nv.volumes[0].img[f[0] + v.shape[0] * (f[1] + v.shape[1] * f[2])], number = stored * v.slope + v.inter;
    out.textContent = !stored ? "" : (v.unit === "ppm" ? number.toFixed(2) : number.toPrecision(3)).replace("-", "\u2212") + " " + v.unit;
  });
  var near = null, least = 3;
  told.findings.forEach(function (f) {
    var d = Math.sqrt(f.at.reduce(function (sum, x, i) { return sum + Math.pow((x - v[i]) * told.step_mm[i], 2); }, 0));
    if (d < least) { least = d; near = f; }
  });
  current = near;
  root.dataset.finding = near ? near.index : "";
  var link = byId("viewer-finding");
  link.textContent = near ? near.index + ". " + near.name : words.none;
  link.setAttribute("href", near ? "#finding-" + near.index : "#findings");
  document.querySelectorAll("tr.shown").forEach(function (row) { row.classList.remove("shown"); });
  if (near && byId("finding-" + near.index)) { byId("finding-" + near.index).classList.add("shown"); }
  var chosen = byId("viewer-choice"); if (chosen) { chosen.value = near ? String(near.index) : ""; }
}

function go(index, scroll) {
  var f = told.findings.find(function (g) { return g.index === index; });
  if (!f) { return; }
  if (scroll) { root.scrollIntoView({ block: "start" }); }
  if (!ready) { wanted = index; begin(); return; }
  at = f.at.map(function (x, i) { return (x + 0.5) * told.step_mm[i] - told.size_mm[i] / 2; });
  show(null);
}

function step(axis, by) {
  var here = voxel()[axis], v = by > 0 ? Math.floor(here + 0.01) + by : Math.ceil(here - 0.01) + by, most = Math.round(told.size_mm[axis] / told.step_mm[axis]) - 1;
  v = Math.min(most, Math.max(0, v));
  at[axis] = (v + 0.5) * told.step_mm[axis] - told.size_mm[axis] / 2;
  show(null);
}

function next(by) {
  if (!told.findings.length) { return; }
  var order = told.findings.map(function (f) { return f.index; }), here = current ? order.indexOf(current.index) : by > 0 ? -1 : 0;
  go(order[(here + by + order.length) % order.length], false);
}

function setPlane(name) {
  plane = name;
  panes.forEach(function (one) { one.nv.setSliceType(KINDS[name]); });
  document.querySelectorAll("input[name=viewer-plane]").forEach(function (box) { box.checked = box.value === name; });
  show(null);
}

function setZoom(by) { zoom = Math.min(12, Math.max(1, by === 0 ? 1 : zoom * by)); show(null); }

function resetWindows() {
  panes.forEach(function (one) {
    var v = told.volumes[told.panes[one.name].volumes[0]], image = one.nv.volumes[0];
    image.cal_min = v.low; image.cal_max = v.high; one.nv.updateGLVolume();
  });
}

function widen(by, brighter) {
  panes.forEach(function (one) {
    var image = one.nv.volumes[0], middle = (image.cal_min + image.cal_max) / 2, half = (image.cal_max - image.cal_min) / 2;
    middle -= brighter * half * 0.15; half *= by;
    image.cal_min = middle - half; image.cal_max = middle + half; one.nv.updateGLVolume();
  });
}

var ACTIONS = {
  "back": function () { step(NORMAL[plane], -1); }, "forth": function () { step(NORMAL[plane], 1); },
  "in": function () { setZoom(1.5); }, "out": function () { setZoom(1 / 1.5); }, "whole": function () { setZoom(0); },
  "before": function () { next(-1); }, "after": function () { next(1); },
  "harder": function () { widen(0.8, 0); }, "softer": function () { widen(1.25, 0); },
  "brighter": function () { widen(1, 1); }, "darker": function () { widen(1, -1); }, "windows": resetWindows
};

function key(event) {
  if (!ready || event.altKey || event.ctrlKey || event.metaKey || event.key === "Tab") { return; }
  var across = plane === "sagittal" ? 1 : 0, up = plane === "axial" ? 1 : 2, normal = NORMAL[plane];
  var left = plane === "sagittal" ? 1 : 1;  /* radiological: the patient's right, or front, is on the left */
  var does = {
    ArrowLeft: function () { step(across, left); }, ArrowRight: function () { step(across, -left); },
    ArrowUp: function () { step(up, 1); }, ArrowDown: function () { step(up, -1); },
    PageUp: function () { step(normal, 1); }, PageDown: function () { step(normal, -1); },
    "+": ACTIONS.in, "=": ACTIONS.in, "-": ACTIONS.out, "0": ACTIONS.whole, n: ACTIONS.after, p: ACTIONS.before,
    a: function () { setPlane("axial"); }, c: function () { setPlane("coronal"); }, s: function () { setPlane("sagittal"); }
  }[event.key];
  event.stopPropagation();
  if (does) { event.preventDefault(); does(); }
}

var begun = false;
function begin() {
  if (begun) { return; }
  begun = true;
  state.textContent = words.loading;
  start().then(function () {
    ready = true; state.textContent = ""; root.classList.add("ready");
    stage.addEventListener("keydown", key, true);
    var first = wanted !== null ? wanted : told.findings.length ? told.findings[0].index : null;
    if (first === null) { show(null); } else { go(first, false); }
    if (wanted !== null) { root.scrollIntoView({ block: "start" }); }
    root.dataset.state = "ready";
  }, function (error) { root.dataset.state = "failed"; refuse(error && error.message); });
}

root.hidden = false;
document.querySelectorAll("[data-action]").forEach(function (button) {
  button.addEventListener("click", function () { if (ready) { ACTIONS[button.dataset.action](); } });
});
document.querySelectorAll("input[name=viewer-plane]").forEach(function (box) {
  box.addEventListener("change", function () { if (ready) { setPlane(box.value); } });
});
var cross = byId("viewer-cross");
cross.addEventListener("change", function () {
  panes.forEach(function (one) { one.nv.setCrosshairWidth(cross.checked ? 1 : 0); });
});
byId("viewer-choice").addEventListener("change", function (event) { if (event.target.value) { go(Number(event.target.value), false); } });
document.querySelectorAll("button.go").forEach(function (button) {
  button.addEventListener("click", function () { go(Number(button.dataset.finding), true); });
});
document.querySelectorAll("table.findings tr[id]").forEach(function (row) {
  row.addEventListener("click", function (event) {
    if (!event.target.closest("a, button, summary") && !String(getSelection())) { go(Number(row.id.slice(8)), true); }
  });
});
if ("IntersectionObserver" in window) {
  var watch = new IntersectionObserver(function (seen) {
    if (seen.some(function (one) { return one.isIntersecting; })) { watch.disconnect(); begin(); }
  }, { rootMargin: "600px" });
  watch.observe(root);
} else { begin(); }
})();
