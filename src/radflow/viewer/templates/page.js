(() => {
  const filter = document.querySelector(".filter");
  if (!filter) return;
  const buttons = [...filter.querySelectorAll("button")];
  const cases = [...document.querySelectorAll(".case")];
  filter.hidden = false;
  filter.addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    const tag = chosen.dataset.filter;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
    for (const item of cases) item.hidden = tag !== "all" && !item.dataset.tags.split(" ").includes(tag);
  });
})();
