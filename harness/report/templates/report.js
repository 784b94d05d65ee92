"use strict";
(() => {
  // Rows unfold into what the section on provenance says of them.
  const unfold = (row) => {
    const link = row.querySelector("a.open");
    const open = link.getAttribute("aria-expanded") === "true";
    link.setAttribute("aria-expanded", String(!open));
    if (open) { row.nextElementSibling.remove(); return; }
    const story = document.querySelector(`#${link.dataset.key} > .story`).cloneNode(true);
    const below = document.createElement("tr");
    below.className = "unfolded";
    below.appendChild(document.createElement("td")).colSpan = row.children.length;
    below.firstChild.appendChild(story);
    row.after(below);
  };
  for (const row of document.querySelectorAll("tr.opens")) {
    const link = row.querySelector("a.open");
    link.setAttribute("role", "button");
    link.setAttribute("aria-expanded", "false");
    link.addEventListener("keydown", (event) => {
      if (event.key === " ") { event.preventDefault(); unfold(row); }
    });
    row.addEventListener("click", (event) => {
      event.preventDefault();
      if (!String(getSelection())) unfold(row);
    });
  }

  const EDGE = 34, SIDE = 400;
  const add = (parent, name, attributes, text) => {
    const node = document.createElementNS(parent.namespaceURI, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    return parent.appendChild(node);
  };
  const style = (series) => `s${series % 8}`;
  const dashes = (series) => ["none", "7 4", "2 3"][Math.floor(series / 8) % 3];
  const printed = (mille) => (mille / 1000).toFixed(2);

  class Panel {
    constructor(figure) {
      this.figure = figure;
      this.data = JSON.parse(figure.querySelector("script").textContent);
      this.svg = figure.querySelector(".plot");
      this.slider = figure.querySelector("input[type=range]");
      this.boxes = [...figure.querySelectorAll(".legend input")];
      this.rows = this.boxes.map((box) => box.closest("tr"));
      this.chosen = 0;
      this.choices();
      this.boxes.forEach((box) => box.addEventListener("change", () => this.draw(true)));
      this.rows.forEach((row, i) => {
        const light = (lit) => () => this.groups.get(i)?.classList.toggle("lit", lit);
        row.addEventListener("pointerenter", light(true));
        row.addEventListener("pointerleave", light(false));
        row.addEventListener("focusin", light(true));
        row.addEventListener("focusout", light(false));
      });
      this.slider.addEventListener("input", () => this.draw(false));
      this.draw(true);
    }
    choices() {
      const field = this.figure.querySelector(".classes");
      this.minis = this.data.classes.map((name, i) => {
        const label = field.appendChild(document.createElement("label"));
        const input = label.appendChild(document.createElement("input"));
        Object.assign(input, { type: "radio", name: `class-${this.figure.id}`, checked: i === 0 });
        input.addEventListener("change", () => { this.chosen = i; this.draw(false); });
        const svg = this.svg.cloneNode(false);
        svg.setAttribute("class", "mini");
        svg.setAttribute("viewBox", "-6 -6 412 412");
        svg.setAttribute("aria-hidden", "true");
        label.append(svg, name.replaceAll("_", " "));
        if (this.data.runs.every((run) => !run.curve[i])) {
          label.className = "undefined";
          label.append(": undefined");
        }
        return svg;
      });
    }
    draw(all) {
      const shown = this.data.runs.filter((_, i) => this.boxes[i].checked);
      this.plot(this.svg, this.chosen, shown, EDGE);
      if (all) this.minis.forEach((svg, c) => this.plot(svg, c, shown, 0));
      this.cursor(shown);
      this.tell();
    }
    plot(svg, c, runs, edge) {
      svg.replaceChildren();
      svg.classList.toggle("crowd", runs.length > 3);
      if (edge) this.groups = new Map();
      const x = (mille) => (edge + mille * (SIDE - edge) / 1000).toFixed(1);
      const y = (mille) => ((SIDE - edge) * (1 - mille / 1000)).toFixed(1);
      const points = (values) => values.map((value, i) => `${x(this.data.rates[i])},${y(value)}`);
      add(svg, "path", { class: "frame", d: `M${x(0)} ${y(1000)}V${y(0)}H${x(1000)}` });
      add(svg, "path", { class: "chance", d: `M${x(0)} ${y(0)}L${x(1000)} ${y(1000)}` });
      if (edge) this.axes(svg, x, y);
      for (const run of runs) {
        if (!run.curve[c]) continue;
        const group = add(svg, "g", { class: style(run.series) });
        if (edge) this.groups.set(this.data.runs.indexOf(run), group);
        if (edge && run.low[c]) {
          const around = [...points(run.low[c]), ...points(run.high[c]).reverse()].join(" ");
          add(group, "polygon", { class: "band", points: around });
        }
        const line = [`${x(0)},${y(0)}`, ...points(run.curve[c])].join(" ");
        const look = { class: "curve-line", points: line, "stroke-dasharray": dashes(run.series) };
        add(group, "polyline", look);
      }
    }
    axes(svg, x, y) {
      for (const tick of [0, 200, 400, 600, 800, 1000]) {
        if (tick) add(svg, "path", { class: "grid", d: `M${x(0)} ${y(tick)}H${x(1000)}` });
        const name = String(tick / 1000).replace(/^0\./, ".");
        const side = tick === 1000 ? "end" : "middle";
        add(svg, "text", { x: x(tick), y: SIDE - EDGE + 15, "text-anchor": side }, name);
        add(svg, "text", { x: EDGE - 5, y: +y(tick) + (tick === 1000 ? 9 : 4), "text-anchor": "end" }, name);
      }
      add(svg, "text", { x: (SIDE + EDGE) / 2, y: SIDE - 2, "text-anchor": "middle" }, "False-positive rate");
      const turn = `translate(8 ${(SIDE - EDGE) / 2}) rotate(-90)`;
      add(svg, "text", { transform: turn, "text-anchor": "middle" }, "Sensitivity");
    }
    at(values, rate) {
      const rates = this.data.rates;
      const i = Math.max(1, rates.findIndex((other) => other >= rate));
      const share = (rate - rates[i - 1]) / (rates[i] - rates[i - 1]);
      return values[i - 1] + share * (values[i] - values[i - 1]);
    }
    cursor(shown) {
      const rate = +this.slider.value, span = SIDE - EDGE;
      const x = EDGE + rate * span / 1000;
      add(this.svg, "path", { class: "cursor", d: `M${x} 0V${span}` });
      for (const run of shown) {
        if (!run.curve[this.chosen]) continue;
        const y = span * (1 - this.at(run.curve[this.chosen], rate) / 1000);
        add(add(this.svg, "g", { class: style(run.series) }), "circle", { class: "knob", cx: x, cy: y, r: 4.5 });
      }
    }
    tell() {
      const c = this.chosen, rate = +this.slider.value;
      const name = this.data.classes[c].replaceAll("_", " ");
      this.svg.setAttribute("aria-label", `ROC curves of ${name}`);
      this.figure.querySelector("h4").textContent = name;
      this.figure.querySelector("output").textContent = printed(rate);
      this.data.runs.forEach((run, i) => {
        const [auroc, limits, here] = this.rows[i].querySelectorAll("td");
        const [value, low, high] = run.auroc[c];
        auroc.textContent = value ?? "undefined";
        limits.textContent = high ? `${low} to ${high}` : "";
        const of = (values) => printed(this.at(values, rate));
        here.textContent = run.curve[c] ? of(run.curve[c]) : "";
        if (run.curve[c] && run.low[c]) here.textContent += ` (${of(run.low[c])} to ${of(run.high[c])})`;
      });
    }
  }
  for (const figure of document.querySelectorAll("figure.roc")) new Panel(figure);
})();
