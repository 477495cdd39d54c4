"use strict";
// Makes a table of the numbers of a figure when a reader asks for them.
(() => {
  const most = 1000;
  const digits = 6;
  const arrays = {
    i1: Int8Array,
    u1: Uint8Array,
    u1c: Uint8ClampedArray,
    i2: Int16Array,
    u2: Uint16Array,
    i4: Int32Array,
    u4: Uint32Array,
    f4: Float32Array,
    f8: Float64Array,
  };
  // Where traces of all kinds keep one value for each of their points, in the order of columns.
  const paths = [
    ...["ids", "labels", "parents", "x", "y", "z", "r", "theta", "base", "values", "value"],
    ...["measure", "open", "high", "low", "close", "lowerfence", "q1", "median", "q3"],
    ...["upperfence", "mean", "sd", "error_x.array", "error_x.arrayminus", "error_y.array"],
    ...["error_y.arrayminus", "marker.size", "marker.color", "text", "hovertext", "customdata"],
  ];
  const headings = {
    ids: "id",
    labels: "label",
    parents: "parent",
    values: "value",
    "error_x.array": "error of x",
    "error_x.arrayminus": "error of x below",
    "error_y.array": "error of y",
    "error_y.arrayminus": "error of y below",
    "marker.size": "size",
    "marker.color": "colour",
    hovertext: "hint",
    customdata: "more",
  };

  function shaped(flat, shape) {
    if (shape.length < 2) return flat;
    const size = flat.length / shape[0];
    return Array.from({ length: shape[0] }, (_, place) =>
      shaped(flat.slice(place * size, (place + 1) * size), shape.slice(1)),
    );
  }

  // plotly.py writes arrays of numbers as their bytes.
  function decoded(key, value) {
    if (!value?.bdata || !(value.dtype in arrays)) return value;
    const bytes = Uint8Array.from(atob(value.bdata), (character) => character.charCodeAt(0));
    const flat = [...new arrays[value.dtype](bytes.buffer)];
    return value.shape ? shaped(flat, String(value.shape).split(",").map(Number)) : flat;
  }

  // Texts of figures may hold tags and entities of plotly.
  function plain(text) {
    return text
      .replace(/<br\s*\/?>/gi, "; ")
      .replace(/<\/?(a|b|em|i|s|span|strong|sub|sup|u)(\s[^>]*)?>/gi, "")
      .replace(/&lt;/g, "<")
      .replace(/&gt;/g, ">")
      .replace(/&amp;/g, "&");
  }

  function at(trace, path) {
    return path.split(".").reduce((value, key) => value?.[key], trace);
  }

  const isGrid = (values) => Array.isArray(values) && Array.isArray(values[0]);

  // Categories in two levels come as two rows.
  function along(values, path) {
    const levels = isGrid(values) && (path === "x" || path === "y");
    return levels ? values[0].map((_, place) => values.map((level) => level[place])) : values;
  }

  function pointColumns(trace) {
    const found = paths.map((path) => [path, along(at(trace, path), path)]);
    return new Map(found.filter(([, values]) => Array.isArray(values)));
  }

  // Of a heat map: one row for each cell, with its place.
  function gridColumns(trace) {
    const cells = trace.z.flatMap((row, y) => row.map((_, x) => [y, x]));
    const columns = new Map([
      ["x", cells.map(([, x]) => trace.x?.[x] ?? x)],
      ["y", cells.map(([y]) => trace.y?.[y] ?? y)],
    ]);
    for (const path of ["z", "text", "hovertext", "customdata"]) {
      if (isGrid(trace[path])) columns.set(path, cells.map(([y, x]) => trace[path][y]?.[x]));
    }
    return columns;
  }

  function linkColumns({ node, link }) {
    const name = (place) => node.label?.[place] ?? place;
    return new Map([
      ["source", link.source.map(name)],
      ["target", link.target.map(name)],
      ["value", link.value],
    ]);
  }

  function dimensionColumns(trace) {
    return new Map(
      trace.dimensions.map((each, place) => [plain(each.label ?? `${place + 1}`), each.values]),
    );
  }

  function columnsOf(trace) {
    if (isGrid(trace.z)) return gridColumns(trace);
    if (trace.dimensions) return dimensionColumns(trace);
    if (trace.link) return linkColumns(trace);
    if (typeof trace.value === "number") return new Map([["value", [trace.value]]]);
    return pointColumns(trace);
  }

  function axisTitle(path, trace, layout) {
    if (path === "z") {
      const bar = trace.colorbar ?? layout[trace.coloraxis]?.colorbar;
      return bar?.title?.text ?? "value";
    }
    const axis = (trace[`${path}axis`] ?? path).slice(1);
    return layout[`${path}axis${axis}`]?.title?.text ?? path;
  }

  // The title of the axis, if all traces share it.
  function heading(path, tables, layout) {
    if (!["x", "y", "z"].includes(path)) return headings[path] ?? path;
    const having = tables.filter(({ columns }) => columns.has(path));
    const titles = new Set(having.map(({ trace }) => plain(axisTitle(path, trace, layout))));
    return titles.size === 1 ? [...titles][0] || path : path;
  }

  function told(value) {
    if (Array.isArray(value)) return value.map(told).join(", ");
    return typeof value === "string" ? plain(value) : (value ?? null);
  }

  function rowsOf({ columns, series }, all) {
    const length = Math.max(0, ...[...columns.values()].map((values) => values.length));
    return Array.from({ length }, (_, place) => [
      ...series,
      ...all.map((path) => told(columns.get(path)?.[place])),
    ]);
  }

  // Returns headings, and rows of all traces below each other.
  function numbersOf({ data, layout }) {
    const several = data.length > 1;
    const tables = data.map((trace, place) => {
      const series = several ? [plain(trace.name ?? `${place + 1}`)] : [];
      return { trace, series, columns: columnsOf(trace) };
    });
    const used = new Set(tables.flatMap(({ columns }) => [...columns.keys()]));
    const known = paths.filter((path) => used.delete(path));
    const all = [...known, ...used];
    const names = all.map((path) => heading(path, tables, layout));
    return {
      columns: several ? ["series", ...names] : names,
      rows: tables.flatMap((table) => rowsOf(table, all)),
    };
  }

  function element(name, content, given = {}) {
    const made = Object.assign(document.createElement(name), given);
    made.append(...[content].flat());
    return made;
  }

  function shownNumber(value) {
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(digits)));
  }

  function cell(value) {
    if (typeof value !== "number") return element("td", String(value ?? "–"));
    if (Number.isNaN(value)) return element("td", "–");
    const made = element("td", shownNumber(value), { className: "number" });
    made.dataset.number = value;
    return made;
  }

  function extent({ rows }) {
    const count = rows.length.toLocaleString("en");
    if (rows.length <= most) return `${count} ${rows.length === 1 ? "row" : "rows"}.`;
    return `The first ${most.toLocaleString("en")} of ${count} rows; the file holds all.`;
  }

  function tableOf({ columns, rows }) {
    const buttons = columns.map((name) => element("button", name, { type: "button" }));
    const head = element("tr", buttons.map((button) => element("th", button, { scope: "col" })));
    const body = rows.slice(0, most).map((row) => element("tr", row.map(cell)));
    const parts = [element("thead", head), element("tbody", body)];
    return element("table", parts, { className: "plain" });
  }

  // A text that begins like a formula would be run by spreadsheets.
  function field(value) {
    if (typeof value === "number") return Number.isNaN(value) ? "" : String(value);
    const text = String(value ?? "");
    const formula = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text));
    return quoted(formula ? `'${text}` : text);
  }

  function quoted(text) {
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csvOf({ columns, rows }) {
    return [columns, ...rows].map((row) => row.map(field).join(",") + "\r\n").join("");
  }

  function fileName(details) {
    const caption = details.closest(".plotted").querySelector("figcaption").textContent;
    const words = caption.slice(0, 60).split(/[^\p{L}\p{N}]+/u).filter(Boolean);
    return `${words.join("-").toLowerCase() || "numbers"}.csv`;
  }

  function download(details, numbers) {
    // The mark at the beginning tells spreadsheets that it is UTF-8.
    const file = new Blob(["\ufeff", csvOf(numbers)], { type: "text/csv" });
    const link = element("a", [], { href: URL.createObjectURL(file), download: fileName(details) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  function written(table) {
    const value = ({ dataset, textContent }) =>
      "number" in dataset ? Number(dataset.number) : textContent;
    return {
      columns: [...table.tHead.rows[0].cells].map(value),
      rows: [...table.tBodies[0].rows].map((row) => [...row.cells].map(value)),
    };
  }

  function framed(table) {
    const given = { className: "frame", tabIndex: 0, role: "region", ariaLabel: "Numbers" };
    return element("div", table, given);
  }

  function fill(details) {
    const given = details.querySelector("table");
    const figure = details.closest(".plotted").querySelector("figure > script").textContent;
    const numbers = given ? written(given) : numbersOf(JSON.parse(figure, decoded));
    const button = element("button", "Download as CSV", { type: "button" });
    button.addEventListener("click", () => download(details, numbers));
    details.firstElementChild.after(button);
    if (!given) button.after(element("p", extent(numbers)), framed(tableOf(numbers)));
    details.dataset.filled = "";
  }

  function fillOnce(event) {
    const details = event.target;
    if (details.open && !("filled" in details.dataset)) fill(details);
  }

  for (const details of document.querySelectorAll(".numbers")) {
    details.addEventListener("toggle", fillOnce);
  }
})();
