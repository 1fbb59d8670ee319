/* One slice of one 8-bit volume on a canvas. Plain 2-D drawing: what a reader waits for is the
   first image and the next finding, and both are there in milliseconds, with or without a GPU. */

import { AXES, NORMAL } from "./geometry.js";

export class Slice {
  constructor(canvas) {
    Object.assign(this, { canvas, meta: null, numbers: null, grey: new Uint32Array(256), seen: "" });
    this.sheet = document.createElement("canvas");
  }

  /** Show a volume: `meta` as served, `numbers` its bytes, grey from `low` to `high`. */
  show(meta, numbers, [low, high]) {
    this.meta = meta; this.numbers = numbers;
    for (let n = 0; n < 256; n++) {
      const value = n * meta.slope + meta.inter, g = n === 0 ? 0 : Math.min(255, Math.max(0, Math.round((255 * (value - low)) / Math.max(1e-9, high - low))));
      this.grey[n] = (0xff000000 | (g << 16) | (g << 8) | g) >>> 0;
    }
  }

  resize(width, height) {
    if (this.canvas.width !== width || this.canvas.height !== height) { this.canvas.width = width; this.canvas.height = height; }
  }

  /** Draw the plane of `view` through `at` [mm]; outside of the volume it is black. */
  draw(view, at, geometry) {
    const c = this.canvas.getContext("2d", { alpha: false });
    c.fillStyle = "#000"; c.fillRect(0, 0, view.width, view.height);
    if (!this.meta || !geometry.contains(at)) { return; }
    const [a, b] = AXES[view.plane], normal = NORMAL[view.plane], { shape, spacing, size } = geometry;
    const far = geometry.voxelOfMm(view.toMm(0, 0, at)), near = geometry.voxelOfMm(view.toMm(view.width, view.height, at));
    const i0 = Math.max(0, Math.floor(near[a]) - 1), i1 = Math.min(shape[a] - 1, Math.ceil(far[a]) + 1), j0 = Math.max(0, Math.floor(near[b]) - 1), j1 = Math.min(shape[b] - 1, Math.ceil(far[b]) + 1);
    const w = i1 - i0 + 1, h = j1 - j0 + 1;
    if (w < 1 || h < 1) { return; }
    const stride = [1, shape[0], shape[0] * shape[1]], base = geometry.inside(at)[normal] * stride[normal], image = new ImageData(w, h), out = new Uint32Array(image.data.buffer);
    for (let j = j0; j <= j1; j++) {
      let n = base + i0 * stride[a] + j * stride[b], p = (j1 - j) * w + w - 1;
      for (let i = i0; i <= i1; i++, n += stride[a], p--) { out[p] = this.grey[this.numbers[n]]; }
    }
    if (this.sheet.width !== w || this.sheet.height !== h) { this.sheet.width = w; this.sheet.height = h; }
    this.sheet.getContext("2d").putImageData(image, 0, 0);
    const edge = (axis, index) => (index * spacing[axis] - size[axis] / 2 - view.centre[axis]) * view.scale;
    c.imageSmoothingEnabled = true;
    c.drawImage(this.sheet, view.width / 2 - edge(a, i1 + 1), view.height / 2 - edge(b, j1 + 1), w * spacing[a] * view.scale, h * spacing[b] * view.scale);
  }
}
