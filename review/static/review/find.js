// /: search in the document. The matches are marked with the browser's own highlights, so that
// the document's text stays as it is.
"use strict";
(() => {
  const MOST = 1000; // matches
  const bar = document.getElementById("find");
  const field = bar.querySelector("input");
  const count = bar.querySelector("output");
  let found = [];
  let at = 0;

  function search() {
    const wanted = field.value.toLowerCase();
    found = [];
    const docs = document.querySelectorAll(".doc"); // two, where the end is folded
    if (wanted && docs.length) {
      // The text of neighbouring nodes is one text: a match may cross <b> or a coloured token.
      const nodes = [];
      let text = "";
      for (const doc of docs) {
        const walk = document.createTreeWalker(doc, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
          nodes.push([text.length, walk.currentNode]);
          text += walk.currentNode.data;
        }
      }
      const low = text.toLowerCase();
      const same = low.length === text.length ? low : text; // rare letters change their length
      const place = (offset) => {
        let [lowest, highest] = [0, nodes.length - 1];
        while (lowest < highest) {
          const middle = (lowest + highest + 1) >> 1;
          if (nodes[middle][0] <= offset) lowest = middle;
          else highest = middle - 1;
        }
        const [start, node] = nodes[lowest];
        return [node, offset - start];
      };
      for (let i = same.indexOf(wanted); i >= 0 && found.length < MOST; i = same.indexOf(wanted, i + wanted.length)) {
        const range = new Range();
        range.setStart(...place(i));
        const [node, offset] = place(i + wanted.length - 1);
        range.setEnd(node, offset + 1);
        found.push(range);
      }
    }
    at = 0;
    mark();
  }

  function mark() {
    const { none, place } = bar.dataset;
    count.textContent = found.length ? `${at + 1} / ${found.length}` : field.value ? none : "";
    count.setAttribute("aria-label", found.length ? `${place} ${at + 1} / ${found.length}` : none);
    const here = found[at];
    if (window.CSS?.highlights) {
      CSS.highlights.set("found", new Highlight(...found));
      CSS.highlights.set("found-here", here ? new Highlight(here) : new Highlight());
    }
    if (!here) return;
    let folded = here.startContainer.parentElement.closest("details:not([open])");
    for (; folded; folded = folded.parentElement.closest("details:not([open])")) folded.open = true;
    const box = here.getBoundingClientRect();
    if (box.top < 80 || box.bottom > innerHeight - 220) scrollBy(0, box.top - innerHeight / 3);
  }

  function step(by) {
    if (!found.length) return;
    at = (at + by + found.length) % found.length;
    mark();
  }

  function close() {
    if (bar.hidden) return;
    bar.hidden = true;
    found = [];
    window.CSS?.highlights?.delete("found");
    window.CSS?.highlights?.delete("found-here");
  }

  function open() {
    if (!document.querySelector(".doc")) return;
    bar.hidden = false;
    field.focus();
    field.select();
    search();
  }

  for (const control of document.querySelectorAll("[data-find]")) {
    control.hidden = false;
    control.addEventListener("click", open);
  }
  field.addEventListener("input", search);
  bar.addEventListener("submit", (event) => {
    event.preventDefault();
    step(1);
  });
  bar.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
      document.getElementById("title").focus({ preventScroll: true }); // the place stays
    } else if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      step(-1);
    }
  });
  bar.addEventListener("click", (event) => {
    const control = event.target.closest("button");
    if (control?.dataset.step) step(Number(control.dataset.step));
    else if (control && "close" in control.dataset) {
      close();
      document.getElementById("title").focus({ preventScroll: true });
    }
  });
  document.addEventListener("desk:arrived", close);
})();
