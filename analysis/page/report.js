"use strict";
// Every panel is a Vega view; the page's buttons and menus set the signals that the views share.
const views = [];
const hidden = new Set(); // representations switched off

function set(signal, value, within) {
  for (const { view, element } of views) {
    if (within.contains(element)) view.signal(signal, value).runAsync();
  }
}

// The representation pointed at, in a chart or on a button, stands out in every chart.
let focus = "";
let asked = "";
function point(name) {
  asked = name || "";
  requestAnimationFrame(() => {
    if (asked === focus) return;
    focus = asked;
    set("focus", focus, document.body);
  });
}

for (const element of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(element.querySelector("script").textContent);
  vegaEmbed(element, spec, { actions: false, renderer: "svg" }).then(({ view }) => {
    view.addEventListener("mouseover", (event, item) => point(item && item.datum && item.datum.encoder));
    view.addEventListener("mouseout", () => point(""));
    view.signal("focus", focus).signal("hidden", [...hidden]).runAsync();
    views.push({ view, element });
  });
}

for (const select of document.querySelectorAll("select[data-signal]")) {
  select.addEventListener("change", () => set(select.dataset.signal, JSON.parse(select.value), select.closest("figure")));
}


for (const chip of document.querySelectorAll(".chip")) {
  const name = chip.dataset.encoder;
  chip.addEventListener("mouseenter", () => point(hidden.has(name) ? "" : name));
  chip.addEventListener("mouseleave", () => point(""));
  chip.addEventListener("click", () => {
    if (!hidden.delete(name)) hidden.add(name);
    for (const other of document.querySelectorAll(".chip")) {
      if (other.dataset.encoder === name) other.setAttribute("aria-pressed", String(!hidden.has(name)));
    }
    point("");
    set("hidden", [...hidden], document.body);
  });
}
