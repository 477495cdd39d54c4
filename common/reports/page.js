"use strict";
(() => {
  const beside = matchMedia("(min-width: 70rem)"); // as in narrow.css
  const contents = document.querySelector(".contents");
  const links = [...document.querySelectorAll(".contents a")];

  // Beside the text the table of contents is always open; above it, folded.
  function fold() {
    contents.open = beside.matches;
  }

  function mark(id) {
    for (const link of links) {
      if (link.hash === `#${id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  // The section that is read is the last one that begins in the upper part of the window; at the
  // end of the page, in the window.
  function follow() {
    const page = document.documentElement;
    const atEnd = page.scrollTop > 0 && page.scrollTop + innerHeight > page.scrollHeight - 2;
    const read = links
      .map((link) => document.getElementById(link.hash.slice(1)))
      .filter((section) => section.getBoundingClientRect().top < innerHeight / (atEnd ? 1 : 3));
    mark(read.at(-1)?.id);
  }

  function compare(left, right) {
    if (left.dataset.number && right.dataset.number) {
      return left.dataset.number - right.dataset.number;
    }
    return left.textContent.localeCompare(right.textContent, undefined, { numeric: true });
  }

  function sort(heading) {
    const turned = heading.getAttribute("aria-sort") === "ascending";
    for (const each of heading.parentElement.cells) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", turned ? "descending" : "ascending");
    const place = heading.cellIndex;
    const body = heading.closest("table").tBodies[0];
    const rows = [...body.rows];
    rows.sort((left, right) => compare(left.cells[place], right.cells[place]) * (turned ? -1 : 1));
    body.append(...rows);
  }

  document.addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (heading && event.target.closest("button")) sort(heading);
  });

  if (contents) {
    beside.addEventListener("change", fold);
    addEventListener("scroll", follow, { passive: true });
    fold();
    follow();
  }
})();
