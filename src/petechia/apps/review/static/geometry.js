/* Places: laid voxels (axes to right, anterior, superior), millimetres on the screen ("mm",
   0 in the middle of the box), and scanner millimetres ("world"). No state, no page. */

export const NORMAL = { axial: 2, coronal: 1, sagittal: 0 };
export const PLANES = ["axial", "coronal", "sagittal"];
/** Patient axes along the picture's columns and rows; both run against the axis. */
export const AXES = { axial: [0, 1], coronal: [0, 2], sagittal: [1, 2] };

function inverse3(m) {
  const [[a, b, c], [d, e, f], [g, h, i]] = m;
  const A = e * i - f * h, B = f * g - d * i, C = d * h - e * g, det = a * A + b * B + c * C;
  return [
    [A / det, (c * h - b * i) / det, (b * f - c * e) / det],
    [B / det, (a * i - c * g) / det, (c * d - a * f) / det],
    [C / det, (b * g - a * h) / det, (a * e - b * d) / det],
  ];
}

const times = (m, v) => m.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);

export class Geometry {
  /** `shape`, `spacing` of the laid box; `toMm` its (3, 4) matrix to scanner mm; `native` as served. */
  constructor(shape, spacing, toMm, native) {
    Object.assign(this, { shape, spacing, toMm, native });
    this.size = shape.map((n, i) => n * spacing[i]);
    this.back = inverse3(toMm.map((row) => row.slice(0, 3)));
  }

  voxelOfMm(mm) { return mm.map((x, i) => (x + this.size[i] / 2) / this.spacing[i] - 0.5); }

  mmOfVoxel(v) { return v.map((x, i) => (x + 0.5) * this.spacing[i] - this.size[i] / 2); }

  worldOfMm(mm) { return times(this.toMm.map((r) => r.slice(0, 3)), this.voxelOfMm(mm)).map((x, i) => x + this.toMm[i][3]); }

  mmOfWorld(world) { return this.mmOfVoxel(times(this.back, world.map((x, i) => x - this.toMm[i][3]))); }

  /** The nearest voxel inside the box. */
  inside(mm) { return this.voxelOfMm(mm).map((x, i) => Math.min(this.shape[i] - 1, Math.max(0, Math.round(x)))); }

  contains(mm) { return mm.every((x, i) => Math.abs(x) <= this.size[i] / 2); }

  index(v) { return v[0] + this.shape[0] * (v[1] + this.shape[1] * v[2]); }

  /** Number of a laid voxel in the stored volume, C order. */
  flat(v) {
    const { order, flipped, low, native_shape: n } = this.native, at = [0, 0, 0];
    for (let a = 0; a < 3; a++) {
      const u = v[a] + low[a];
      at[order[a]] = flipped[a] ? n[order[a]] - 1 - u : u;
    }
    return (at[0] * n[1] + at[1]) * n[2] + at[2];
  }

  /** Runs [start, length] of the voxels of `numbers` that hold `number`, in the stored volume. */
  runs(numbers, number) {
    const found = [], [nx, ny, nz] = this.shape;
    for (let k = 0, n = 0; k < nz; k++) for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++, n++) {
      if (numbers[n] === number) { found.push(this.flat([i, j, k])); }
    }
    return joined(found);
  }
}

/** Flat voxels, in any order, as runs. */
export function joined(voxels) {
  const sorted = Float64Array.from(voxels).sort(), runs = [];
  for (const v of sorted) {
    const last = runs[runs.length - 1];
    if (last && v === last[0] + last[1]) { last[1] += 1; } else { runs.push([v, 1]); }
  }
  return runs;
}

/** What of a plane stands where on a canvas: `centre` [mm] in its middle, `scale` pixels a mm. */
export class View {
  constructor(plane, width, height, centre, scale) { Object.assign(this, { plane, width, height, centre, scale }); }

  toScreen(mm) {
    const [across, up] = AXES[this.plane];
    return [
      this.width / 2 - (mm[across] - this.centre[across]) * this.scale,
      this.height / 2 - (mm[up] - this.centre[up]) * this.scale,
    ];
  }

  toMm(x, y, at) {
    const [across, up] = AXES[this.plane], mm = at.slice();
    mm[across] = this.centre[across] - (x - this.width / 2) / this.scale;
    mm[up] = this.centre[up] - (y - this.height / 2) / this.scale;
    return mm;
  }
}
