/* Mouse, pen and fingers on the panes. */

/** `desk` answers: placed(mm), addAt(mm), painted(pane, mm), hovered(pane, mm). */
export function listen(root, panes, desk) {
  const down = new Map();
  let drag = null, pinch = 0, windowing = null;
  const place = (pane, event) => {
    const box = pane.marks.getBoundingClientRect(), own = panes.view(pane).toMm(event.clientX - box.left, event.clientY - box.top, panes.here(pane.side));
    return pane.side === panes.now ? own : panes.now.geometry.mmOfWorld(pane.side.geometry.worldOfMm(own));
  };
  const spread = () => { const [p, q] = [...down.values()]; return Math.hypot(p.x - q.x, p.y - q.y); };

  root.addEventListener("contextmenu", (event) => event.preventDefault());
  root.addEventListener("pointerdown", (event) => {
    const pane = panes.paneOf(event.target);
    if (!pane || event.target.closest("button") || !panes.now) { return; }
    event.preventDefault();
    document.activeElement?.blur?.();
    root.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (down.size === 2) { pinch = spread(); drag = null; return; }
    if (event.button === 2) {
      const [low, high] = panes.windowOf(pane);
      windowing = { pane, low, high, x: event.clientX, y: event.clientY };
    } else if (event.button === 0) {
      const mm = place(pane, event);
      if (event.shiftKey) { desk.addAt(mm); return; }
      drag = pane;
      if (desk.brush.on) { desk.painted(pane, mm); } else { desk.placed(mm, pane); }
    }
  });
  root.addEventListener("pointermove", (event) => {
    if (down.has(event.pointerId)) { down.set(event.pointerId, { x: event.clientX, y: event.clientY }); }
    if (down.size === 2) {
      const now = spread();
      if (pinch && Math.abs(now / pinch - 1) > 0.02) { panes.zoom(pinch / now); pinch = now; }
      return;
    }
    if (windowing) {
      const { pane, low, high, x, y } = windowing, wide = high - low, middle = (low + high) / 2 + ((event.clientY - y) / 300) * wide;
      const half = (wide / 2) * Math.exp((event.clientX - x) / 200);
      panes.setWindow(pane, middle - half, middle + half);
      return;
    }
    const pane = drag || panes.paneOf(event.target);
    if (!pane || !panes.now) { return; }
    if (desk.brush.on) { const mm = place(pane, event); if (drag) { desk.painted(pane, mm); } else { desk.hovered(pane, mm); } } else if (drag && !pane.whole && panes.field) { /* a zoomed pane follows its place: dragging would run away */ } else if (drag) { desk.placed(place(pane, event), pane); }
  });
  const up = (event) => { down.delete(event.pointerId); drag = null; windowing = null; pinch = 0; };
  root.addEventListener("pointerup", up);
  root.addEventListener("pointercancel", up);
  root.addEventListener("dblclick", (event) => { const pane = panes.paneOf(event.target); if (pane && !desk.brush.on) { panes.maximise(panes.panes.indexOf(pane)); } });
  let rest = 0;
  root.addEventListener("wheel", (event) => {
    if (!panes.now) { return; }
    event.preventDefault();
    if (event.ctrlKey) { panes.zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15); return; }
    rest += event.deltaMode ? event.deltaY * 40 : event.deltaY;
    const steps = Math.trunc(rest / 40);
    if (steps) { rest -= steps * 40; panes.scroll(-Math.max(-3, Math.min(3, steps))); }
  }, { passive: false });
}
