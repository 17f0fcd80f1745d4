"use strict";
// Tables are sorted by the button in a column's heading; what is absent stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const value = row.cells[column].dataset.v;
    return value === undefined ? null : heads[column].classList.contains("n") ? Number(value) : value;
  };
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
      });
      body.append(...rows.map(([, row]) => row));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    });
  });
}
// Columns that stay in view stand side by side, whatever their widths are.
const fix = () => {
  for (const table of document.querySelectorAll("table.fixed")) {
    const count = Number(table.dataset.fixed);
    let left = 0;
    for (let column = 0; column < count; column += 1) {
      table.style.setProperty(`--left-${column}`, `${left}px`);
      left += table.tHead.rows[0].cells[column].getBoundingClientRect().width;
    }
  }
};
fix();
addEventListener("resize", fix);
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", fix);
// What is folded on the screen is printed.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open]):not(.long)")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
  folded = [];
});
