"use strict";
// Every panel is a Vega view; the page's buttons and menus set the signals that the views share.
const views = [];

function set(signal, value, within) {
  for (const { view, element } of views) {
    if (within.contains(element)) view.signal(signal, value).runAsync();
  }
}

for (const element of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(element.querySelector("script").textContent);
  vegaEmbed(element, spec, { actions: false, renderer: "svg" }).then(({ view }) => views.push({ view, element }));
}

for (const select of document.querySelectorAll("select[data-signal]")) {
  select.addEventListener("change", () => set(select.dataset.signal, JSON.parse(select.value), select.closest("figure")));
}

const hidden = new Set();
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    const name = chip.dataset.encoder;
    if (!hidden.delete(name)) hidden.add(name);
    for (const other of document.querySelectorAll(".chip")) {
      if (other.dataset.encoder === name) other.setAttribute("aria-pressed", String(!hidden.has(name)));
    }
    set("hidden", [...hidden], document.body);
  });
}
