// A picture enlarged: wheel, pinch, drag and keys move it; window and level are one linear filter.
(() => {
  const dialog = document.querySelector("dialog.zoomed");
  if (!dialog || !dialog.showModal) return;
  const stage = dialog.querySelector(".stage");
  const image = stage.querySelector("img");
  const field = (name) => dialog.querySelector(`[name="${name}"]`);
  const fingers = new Map();
  let view = { x: 0, y: 0, scale: 1 };

  function draw() {
    image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  }

  function scaleAt(factor, x, y) {
    const scale = Math.min(16, Math.max(1, view.scale * factor));
    const by = scale / view.scale;
    const box = stage.getBoundingClientRect();
    const [dx, dy] = [x - box.left - box.width / 2, y - box.top - box.height / 2];
    view = scale === 1 ? { x: 0, y: 0, scale } : { x: dx - (dx - view.x) * by, y: dy - (dy - view.y) * by, scale };
    draw();
  }

  function middle(factor) {
    const box = stage.getBoundingClientRect();
    scaleAt(factor, box.left + box.width / 2, box.top + box.height / 2);
  }

  function move(dx, dy) {
    view = { ...view, x: view.x + dx, y: view.y + dy };
    draw();
  }

  function windowed() {
    const width = field("window").value / 100;
    const level = field("level").value / 100;
    for (const channel of dialog.querySelectorAll("feComponentTransfer > *")) {
      channel.setAttribute("slope", 1 / width);
      channel.setAttribute("intercept", 0.5 - level / width);
    }
    image.style.filter = width === 1 && level === 0.5 ? "" : "url(#window-level)";
  }

  function reset() {
    view = { x: 0, y: 0, scale: 1 };
    field("window").value = 100;
    field("level").value = 50;
    draw();
    windowed();
  }

  for (const button of document.querySelectorAll("button.zoom")) {
    button.addEventListener("click", () => {
      const small = button.querySelector("img");
      image.src = small.src;
      image.alt = small.alt;
      reset();
      dialog.showModal();
    });
  }
  for (const name of ["window", "level"]) field(name).addEventListener("input", windowed);
  dialog.addEventListener("click", (event) => {
    const wanted = event.target.dataset.do;
    if (wanted === "reset") reset();
    if (wanted === "close") dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input")) return;
    const does = {
      "+": () => middle(1.25),
      "=": () => middle(1.25),
      "-": () => middle(0.8),
      0: reset,
      ArrowLeft: () => move(40, 0),
      ArrowRight: () => move(-40, 0),
      ArrowUp: () => move(0, 40),
      ArrowDown: () => move(0, -40),
    }[event.key];
    if (!does || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    does();
  });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    scaleAt(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => scaleAt(view.scale > 1 ? 0 : 3, event.clientX, event.clientY));

  const spread = () => {
    const [a, b] = [...fingers.values()];
    return { gap: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  stage.addEventListener("pointermove", (event) => {
    const was = fingers.get(event.pointerId);
    if (!was) return;
    const before = fingers.size === 2 ? spread() : null;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (before) {
      const now = spread();
      move(now.x - before.x, now.y - before.y);
      scaleAt(now.gap / (before.gap || 1), now.x, now.y);
    } else {
      move(event.clientX - was.x, event.clientY - was.y);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
})();
