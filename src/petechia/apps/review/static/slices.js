/* One NiiVue canvas that draws one slice of one 8-bit volume, and nothing else: places, outlines,
   pointer and keys are ours, so that all panes agree to the pixel. */

import { AXES, NORMAL } from "./geometry.js";

const KINDS = { axial: 0, coronal: 1, sagittal: 2 };

/** A NIfTI-1 file of 8-bit numbers whose axes run to right, anterior, superior, its middle at 0. */
function nifti(volume, numbers) {
  const file = new ArrayBuffer(352 + numbers.byteLength), head = new DataView(file), { shape, spacing_mm: step } = volume;
  head.setInt32(0, 348, true); head.setInt16(40, 3, true);
  for (let i = 0; i < 7; i++) { head.setInt16(42 + 2 * i, i < 3 ? shape[i] : 1, true); }
  head.setInt16(70, 2, true); head.setInt16(72, 8, true); head.setFloat32(76, 1, true);
  head.setFloat32(108, 352, true); head.setFloat32(112, volume.slope, true); head.setFloat32(116, volume.inter, true);
  head.setUint8(123, 2); head.setFloat32(124, volume.high, true); head.setFloat32(128, volume.low, true); head.setInt16(254, 1, true);
  for (let i = 0; i < 3; i++) {
    head.setFloat32(80 + 4 * i, step[i], true); head.setFloat32(280 + 20 * i, step[i], true);
    head.setFloat32(292 + 16 * i, (step[i] - shape[i] * step[i]) / 2, true);
  }
  [110, 43, 49, 0].forEach((c, n) => head.setUint8(344 + n, c));
  new Uint8Array(file, 352).set(numbers);
  return file;
}

/* At every change NiiVue computes the gradients that light a 3-D rendering. Slices need none, and
   they cost most of the time and memory: their drawing is left out, their textures are 1 voxel. */
function withoutGradients(nv) {
  const gl = nv.gl, texture = nv.rgbaTex.bind(nv);
  let off = false;
  const keep = (name, answer) => {
    const real = gl[name].bind(gl);
    gl[name] = (...args) => (off ? answer : real(...args));
  };
  keep("drawArrays"); keep("framebufferTextureLayer"); keep("checkFramebufferStatus", gl.FRAMEBUFFER_COMPLETE);
  const drop = gl.deleteFramebuffer.bind(gl);
  gl.deleteFramebuffer = (one) => { off = false; drop(one); };
  nv.blurShader = { use: () => { off = true; }, uniforms: {} };
  nv.sobelFirstOrderShader = { use: () => undefined, uniforms: {} };
  nv.rgbaTex = (old, unit, dims, blank) => {
    const gradient = unit === gl.TEXTURE6 || (unit === gl.TEXTURE8 && blank);
    return texture(old, unit, gradient ? [3, 1, 1, 1] : dims, blank);
  };
}

export class Slice {
  /** Bind a canvas; `show` gives it a volume. */
  static async on(canvas) {
    const nv = new window.niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairWidth: 0, isRadiologicalConvention: true, isSliceMM: true, sagittalNoseLeft: true,
      dragAndDropEnabled: false, isOrientationTextVisible: false, show3Dcrosshair: false, isColorbar: false, logLevel: "error",
      loadingText: "", isResizeCanvas: false, clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "",
    });
    await nv.attachToCanvas(canvas, false);
    withoutGradients(nv);
    return new Slice(nv, canvas);
  }

  constructor(nv, canvas) { Object.assign(this, { nv, canvas, name: "", meta: null }); }

  /** Show a volume: `meta` as served, `numbers` its bytes (kept, so that later slabs are seen). */
  async show(meta, numbers, window_) {
    if (!this.meta || String(this.meta.shape) !== String(meta.shape)) {
      const image = await window.niivue.NVImage.new(nifti(meta, numbers), `${meta.name}.nii`, "gray", 1, null, meta.low, meta.high);
      image.img = numbers;
      if (this.meta) { this.nv.volumes = []; this.nv.overlays = []; }
      image.cal_min = window_[0]; image.cal_max = window_[1];
      this.meta = meta;
      this.nv.addVolume(image);
      return;
    }
    const image = this.nv.volumes[0];
    image.img = numbers; image.hdr.scl_slope = meta.slope; image.hdr.scl_inter = meta.inter;
    this.meta = meta;
    this.window(window_);
  }

  /** Grey values from `low` to `high`; also what makes new numbers seen. */
  window([low, high]) {
    const image = this.nv.volumes[0];
    image.cal_min = low; image.cal_max = high;
    this.nv.updateGLVolume();
  }

  resize(width, height) {
    if (this.canvas.width !== width || this.canvas.height !== height) { this.canvas.width = width; this.canvas.height = height; }
  }

  /** Draw the plane of `view` through `at` [mm]. */
  draw(view, at) {
    if (!this.meta) { return; }
    const size = this.meta.shape.map((n, i) => n * this.meta.spacing_mm[i]), [across, up] = AXES[view.plane];
    const fit = Math.min(view.width / size[across], view.height / size[up]), zoom = view.scale / fit, normal = NORMAL[view.plane];
    const pan = view.centre.map((x) => -zoom * x), place = at.slice();
    place[normal] = Math.min(size[normal] / 2 - 1e-3, Math.max(1e-3 - size[normal] / 2, place[normal]));
    this.nv.opts.sliceType = KINDS[view.plane];
    this.nv.scene.crosshairPos = this.nv.mm2frac(place);
    this.nv.scene.pan2Dxyzmm = [...pan, zoom];
    this.nv.drawScene();
  }
}
