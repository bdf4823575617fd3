"use strict";
// Theme, printing, and the phase diagrams. All texts come from the page.
(() => {
  const root = document.documentElement;
  const toggle = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const showTheme = () => toggle.setAttribute("aria-pressed", String(isDark()));
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  system.addEventListener("change", showTheme);
  showTheme();

  // Mark parts that are wider than their box, so that the style can show that they scroll.
  const widths = new ResizeObserver((entries) => entries.forEach(({target}) => {
    target.classList.toggle("more", target.scrollWidth > target.clientWidth + 1);
  }));
  document.querySelectorAll(".scroll").forEach((part) => widths.observe(part));

  let shut = [];
  addEventListener("beforeprint", () => {
    shut = [...document.querySelectorAll("details:not([open])")];
    shut.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => shut.forEach((part) => { part.open = false; }));

  document.querySelectorAll(".phase").forEach((box) => {
    const data = JSON.parse(box.querySelector("script").textContent);
    const inputs = [...box.querySelectorAll("input")];
    const outputs = [...box.querySelectorAll("output")];
    const panels = [...box.querySelectorAll(".panel")].map((panel) => new Panel(panel, box));
    const lines = [...box.querySelectorAll("tbody tr")].map((line) => [...line.querySelectorAll(".moving")]);

    function show() {
      let frame = 0;
      data.sliders.forEach(({dim, values}, slider) => {
        const input = inputs.find((one) => one.dataset.dim === dim);
        const index = input ? Number(input.value) : values.length - 1;
        frame = frame * values.length + index;
        outputs[slider].textContent = values[index];
        if (input) input.setAttribute("aria-valuetext", values[index]);
      });
      panels.forEach((panel, p) => panel.show(data.looks, data.counts[frame][p], data.marks[frame][p]));
      lines.forEach((line, r) => line.forEach((cell, c) => { cell.textContent = data.rows[frame][r][c]; }));
    }

    box.querySelector(".sliders").hidden = inputs.length === 0;
    inputs.forEach((input) => input.addEventListener("input", show));
    if (inputs.length) show(); // a browser may have restored a slider
  });

  // One panel: a grid of cells that is a single tab stop and describes its selected cell.
  function Panel(panel, box) {
    const rows = [...panel.querySelectorAll("[role=row]")].map((row) => [...row.children]);
    const cells = rows.flat();
    // Rows stand from the widest down. The roles are set here, because without a script no key moves.
    rows.forEach((row, r) => row.forEach((cell, c) => {
      const w = rows.length - 1 - r;
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("tabindex", c === 0 && w === 0 ? "0" : "-1");
      cell.dataset.c = c;
      cell.dataset.w = w;
    }));
    const marks = [...panel.querySelectorAll(".critical")];
    const cursor = panel.querySelector(".cursor");
    const readout = box.querySelector(".readout");
    const titles = cells.map((cell) => cell.querySelector("title"));
    const names = titles.map((title) => title.textContent.split(": ")[0]);
    let active = null;

    this.show = (looks, counts, heights) => {
      cells.forEach((cell, at) => {
        const [fill, text] = looks[counts[cell.dataset.c][cell.dataset.w]];
        cell.setAttribute("fill", fill);
        titles[at].textContent = `${names[at]}: ${text}`;
      });
      marks.forEach((mark, c) => {
        mark.setAttribute("visibility", heights[c] ? "visible" : "hidden");
        if (!heights[c]) return;
        const [y, low, high] = heights[c];
        mark.classList.toggle("open", heights[c].length === 1);
        mark.querySelector("circle").setAttribute("cy", y);
        if (heights[c].length > 1) mark.querySelectorAll("line").forEach((line) => {
          line.setAttribute("y1", low);
          line.setAttribute("y2", high);
        });
      });
      if (active) select(active);
    };

    function select(cell) {
      active = cell;
      const name = panel.querySelector("figcaption").textContent;
      readout.textContent = `${name}, ${titles[cells.indexOf(cell)].textContent}`;
      ["x", "y", "width", "height"].forEach((side) => cursor.setAttribute(side, cell.getAttribute(side)));
      cursor.setAttribute("visibility", "visible");
    }

    function deselect() {
      active = null;
      cursor.setAttribute("visibility", "hidden");
    }

    function go(cell) {
      cells.forEach((one) => one.setAttribute("tabindex", one === cell ? "0" : "-1"));
      cell.focus();
    }

    cells.forEach((cell) => {
      cell.addEventListener("pointerenter", () => select(cell));
      cell.addEventListener("pointerleave", deselect);
      cell.addEventListener("click", () => go(cell));
      cell.addEventListener("focus", () => select(cell));
      cell.addEventListener("blur", deselect);
    });
    panel.addEventListener("keydown", (event) => {
      const r = rows.findIndex((row) => row.includes(event.target));
      if (r < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
      const c = rows[r].indexOf(event.target);
      const far = rows[r].length - 1;
      const [down, right] = {
        ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
        Home: [0, -far], End: [0, far], PageUp: [-rows.length, 0], PageDown: [rows.length, 0],
      }[event.key] || [0, 0];
      if (!down && !right) return;
      event.preventDefault();
      const within = (at, most) => Math.min(most, Math.max(0, at));
      go(rows[within(r + down, rows.length - 1)][within(c + right, far)]);
    });
  }
})();
