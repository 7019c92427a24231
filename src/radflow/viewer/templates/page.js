// Cases one at a time: find, go to the previous or next, link to one. Without this script they are folded.
(() => {
  const finder = document.querySelector(".finder");
  if (!finder) return;
  const pager = document.querySelector(".pager");
  const none = document.querySelector("#cases .none");
  const cases = [...document.querySelectorAll("details.case")];
  const field = (name) => finder.querySelector(`[name="${name}"]`);
  const anchor = (item) => item.querySelector("article").id;
  let shown = cases;

  function matches(item) {
    const words = field("words").value.trim().toLowerCase();
    const tag = field("tag").value;
    if (tag && !item.dataset.tags.split(" ").includes(tag)) return false;
    if (words && !item.textContent.toLowerCase().includes(words)) return false;
    if (!field("observation")) return true;
    const relation = Number(field("relation").value);
    const observation = field("observation").value;
    const names = JSON.parse(item.dataset.observations)[relation];
    return observation ? names.includes(observation) : relation === 0 || names.length > 0;
  }

  function count() {
    const at = shown.findIndex((item) => item.open);
    const of = shown.length === cases.length ? `${cases.length}` : `${shown.length} found`;
    pager.querySelector("output").textContent = at < 0 ? `0 of ${of}` : `${at + 1} of ${of}`;
    pager.querySelector('[data-step="-1"]').disabled = at === 0 || !shown.length;
    pager.querySelector('[data-step="1"]').disabled = at === shown.length - 1;
  }

  function find() {
    shown = cases.filter(matches);
    for (const item of cases) item.hidden = !shown.includes(item);
    none.hidden = shown.length > 0;
    if (shown.length && !shown.some((item) => item.open)) shown[0].open = true;
    count();
  }

  function open(item) {
    for (const other of cases) other.open = other === item;  // also where "name" does not close the others
    item.scrollIntoView({ block: "start" });
    item.querySelector("summary").focus({ preventScroll: true });
    history.replaceState(null, "", `#${anchor(item)}`);
    count();
  }

  function step(by) {
    const at = shown.findIndex((item) => item.open);
    const next = shown[at < 0 ? 0 : at + by];
    if (next) open(next);
  }

  function follow() {
    const wanted = cases.find((item) => `#${anchor(item)}` === decodeURIComponent(location.hash));
    if (!wanted) return;
    if (wanted.hidden) {
      for (const input of finder.querySelectorAll("input, select")) input.value = input.options ? input.options[0].value : "";
      find();
    }
    open(wanted);
  }

  finder.addEventListener("input", find);
  pager.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) step(Number(button.dataset.step));
  });
  for (const item of cases) item.addEventListener("toggle", count);
  window.addEventListener("hashchange", follow);
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("input, select, textarea, dialog, [contenteditable]");
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || busy || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const { top, bottom } = document.querySelector("#cases").getBoundingClientRect();
    if (top > window.innerHeight || bottom < 0) return;  // the reader is somewhere else on the page
    event.preventDefault();
    step(by);
  });

  // On paper every case is open.
  window.addEventListener("beforeprint", () => {
    for (const item of cases) {
      item.dataset.open = item.open ? "yes" : "";
      item.removeAttribute("name");
    }
    for (const item of cases) item.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const item of cases) {
      item.open = item.dataset.open === "yes";
      item.setAttribute("name", "case");
    }
  });

  finder.hidden = pager.hidden = false;
  find();
  follow();
})();
