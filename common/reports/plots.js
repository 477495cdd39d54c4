"use strict";
(() => {
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const wide = matchMedia("(min-width: 45rem)");
  const touched = matchMedia("(pointer: coarse)");
  const printWidth = 660; // pixels that fit on A4 and on Letter
  const config = {
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    plotlyServerURL: "",
    responsive: true,
    showSendToCloud: false, // by default a button sends what is drawn to plotly's makers
  };
  let turn = 0;

  async function unpacked(packed) {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  // The page's policy knows the digest of what is unpacked, so that it runs.
  async function loadPlotly() {
    const script = document.createElement("script");
    script.textContent = await unpacked(document.getElementById("packed-plotly").textContent);
    document.head.append(script);
  }

  // Colours in figures are named, "var(--ink)"; here they get the values of the current scheme.
  function figureOf(plot) {
    const style = getComputedStyle(root);
    const written = plot.closest("figure").querySelector("script").textContent;
    return JSON.parse(written, (key, value) => {
      const name = typeof value === "string" && /^var\((--[\w-]+)\)$/.exec(value);
      return (name && style.getPropertyValue(name[1]).trim()) || value;
    });
  }

  // A finger that moves over a plot scrolls the page; with a mouse it chooses a part of the plot.
  function layoutFor(layout, width) {
    const dragmode = touched.matches ? false : layout.dragmode;
    return { ...layout, dragmode, width, uirevision: "same" };
  }

  function say(plot, sentence) {
    const said = document.createElement("p");
    said.textContent = `${sentence} ${plot.getAttribute("aria-label")}`;
    plot.removeAttribute("role");
    plot.style.height = "auto";
    plot.replaceChildren(said);
  }

  async function draw(plot, width) {
    const { data, layout } = figureOf(plot);
    const shown = { ...config, displayModeBar: wide.matches && "hover" };
    try {
      await Plotly.react(plot, data, layoutFor(layout, width), shown);
    } catch (error) {
      console.error(error);
      say(plot, "This plot could not be drawn.");
    }
  }

  // One after the other, so that a page of many plots can be read meanwhile.
  async function drawAll() {
    const mine = ++turn;
    for (const plot of plots) {
      await draw(plot);
      await new Promise((resolve) => setTimeout(resolve));
      if (turn !== mine) return;
    }
    root.dataset.drawn = "";
  }

  // A browser does not wait with printing.
  function drawToPrint() {
    turn++;
    root.classList.add("printing");
    for (const plot of plots) draw(plot, printWidth);
  }

  function drawOnScreen() {
    root.classList.remove("printing");
    drawAll();
  }

  function listen() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    addEventListener("beforeprint", drawToPrint);
    addEventListener("afterprint", drawOnScreen);
  }

  async function start() {
    if (!("DecompressionStream" in window)) {
      for (const plot of plots) say(plot, "Plots need a newer browser.");
      return;
    }
    await loadPlotly();
    listen();
    await drawAll();
  }

  start();
})();
