"use strict";
(() => {
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const wide = matchMedia("(min-width: 45rem)");
  const printWidth = 660; // pixels that fit on A4 and on Letter
  const config = {
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    plotlyServerURL: "",
    responsive: true,
    showSendToCloud: false, // by default a button sends what is drawn to plotly's makers
  };

  // Colours in figures are named, "var(--ink)"; here they get the values of the current scheme.
  function figureOf(plot) {
    const style = getComputedStyle(root);
    return JSON.parse(plot.nextElementSibling.textContent, (key, value) => {
      const name = typeof value === "string" && /^var\((--[\w-]+)\)$/.exec(value);
      return (name && style.getPropertyValue(name[1]).trim()) || value;
    });
  }

  function draw(plot, width) {
    const { data, layout } = figureOf(plot);
    const changed = { ...layout, width, uirevision: "same" };
    return Plotly.react(plot, data, changed, { ...config, displayModeBar: wide.matches && "hover" });
  }

  async function drawAll(width) {
    await Promise.all(plots.map((plot) => draw(plot, width)));
    root.dataset.drawn = "";
  }

  function compare(left, right) {
    if (left.dataset.number && right.dataset.number) {
      return left.dataset.number - right.dataset.number;
    }
    return left.textContent.localeCompare(right.textContent, undefined, { numeric: true });
  }

  function sort(table, heading) {
    const turned = heading.getAttribute("aria-sort") === "ascending";
    for (const each of heading.parentElement.cells) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", turned ? "descending" : "ascending");
    const place = heading.cellIndex;
    const rows = [...table.tBodies[0].rows];
    rows.sort((left, right) => compare(left.cells[place], right.cells[place]) * (turned ? -1 : 1));
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table")) {
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) sort(table, button.parentElement);
    });
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    drawAll(printWidth);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    drawAll();
  });
  drawAll();
})();
