"use strict";
// Theme, printing, and the phase diagrams. All words come from the page: here is nothing to translate.
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

  // A part that is wider than its place says that there is more of it.
  const places = new ResizeObserver((entries) => entries.forEach(({target}) => {
    target.classList.toggle("more", target.scrollWidth > target.clientWidth + 1);
  }));
  document.querySelectorAll(".scroll").forEach((part) => places.observe(part));

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
      data.sliders.forEach(({dim, places}, at) => {
        const input = inputs.find((one) => one.dataset.dim === dim);
        const place = input ? Number(input.value) : places.length - 1;
        frame = frame * places.length + place;
        outputs[at].textContent = places[place];
        if (input) input.setAttribute("aria-valuetext", places[place]);
      });
      panels.forEach((panel, p) => panel.show(data.looks, data.counts[frame][p], data.marks[frame][p]));
      lines.forEach((line, r) => line.forEach((cell, c) => { cell.textContent = data.rows[frame][r][c]; }));
    }

    box.querySelector(".sliders").hidden = inputs.length === 0;
    inputs.forEach((input) => input.addEventListener("input", show));
    if (inputs.length) show(); // a browser may have kept a slider where it was
  });

  // One panel: a grid of cells that is one stop of the tab key, and whose cells are read out.
  function Panel(panel, box) {
    const rows = [...panel.querySelectorAll("[role=row]")].map((row) => [...row.children]);
    const cells = rows.flat();
    const marks = [...panel.querySelectorAll(".critical")];
    const cursor = panel.querySelector(".cursor");
    const readout = box.querySelector(".readout");
    const words = cells.map((cell) => cell.querySelector("title"));
    const names = words.map((title) => title.textContent.split(": ")[0]);
    let active = null;

    this.show = (looks, counts, heights) => {
      cells.forEach((cell, at) => {
        const [fill, told] = looks[counts[cell.dataset.c][cell.dataset.w]];
        cell.setAttribute("fill", fill);
        words[at].textContent = `${names[at]}: ${told}`;
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
      if (active) tell(active);
    };

    function tell(cell) {
      active = cell;
      const name = panel.querySelector("figcaption").textContent;
      readout.textContent = `${name}, ${words[cells.indexOf(cell)].textContent}`;
      ["x", "y", "width", "height"].forEach((side) => cursor.setAttribute(side, cell.getAttribute(side)));
      cursor.setAttribute("visibility", "visible");
    }

    function leave() {
      active = null;
      cursor.setAttribute("visibility", "hidden");
    }

    function go(cell) {
      cells.forEach((one) => one.setAttribute("tabindex", one === cell ? "0" : "-1"));
      cell.focus();
    }

    cells.forEach((cell) => {
      cell.addEventListener("pointerenter", () => tell(cell));
      cell.addEventListener("pointerleave", leave);
      cell.addEventListener("click", () => go(cell));
      cell.addEventListener("focus", () => tell(cell));
      cell.addEventListener("blur", leave);
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
