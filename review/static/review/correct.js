// E: a set of one's own. An editable combobox with a list, after the WAI-ARIA Authoring
// Practices. It starts from the candidate that has the focus, or from the first.
"use strict";
(() => {
  let vocabulary = null; // a promise of { max_tags, tags }; loaded once
  let focused = null; // the candidate that last had the focus

  function load(form) {
    vocabulary ??= fetch(form.dataset.vocabulary)
      .then((answer) => {
        if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
        return answer.json();
      })
      .catch((problem) => {
        vocabulary = null; // the next E asks again
        throw problem;
      });
    return vocabulary;
  }

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  // --- Which tags a typed text means, the likeliest first -------------------------

  const fold = (text) => text.normalize("NFKC").toLowerCase().trim();

  // 0: the name begins so … 4: it is somewhere in it. -1: no match.
  function distance(tag, typed) {
    const name = fold(tag.name);
    if (name === typed || String(tag.number) === typed) return 0;
    if (name.startsWith(typed)) return 1;
    const synonyms = tag.synonyms.map(fold);
    if (synonyms.some((synonym) => synonym.startsWith(typed))) return 2;
    if (String(tag.number).startsWith(typed)) return 3;
    if ([name, ...synonyms].some((word) => word.includes(typed))) return 4;
    return -1;
  }

  function matches(tags, typed) {
    if (!typed) return tags;
    return tags
      .map((tag) => [distance(tag, typed), tag])
      .filter(([far]) => far >= 0)
      .sort(([a, one], [b, other]) => a - b || one.name.localeCompare(other.name))
      .map(([, tag]) => tag);
  }

  // --- The widget -----------------------------------------------------------------

  function build(details) {
    const form = details.querySelector("form");
    const words = form.dataset;
    const chips = make("ul", { class: "chips" });
    const input = make("input", {
      type: "text",
      role: "combobox",
      "aria-label": words.label,
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": "options",
      "aria-describedby": "correct-hint",
      autocapitalize: "none",
      spellcheck: "false",
      enterkeyhint: "done",
    });
    const list = make("ul", { role: "listbox", id: "options", "aria-label": words.label, hidden: "" });
    const hint = make("p", { class: "hint", id: "correct-hint", role: "status" });
    form.querySelector(".plain").replaceWith(chips, input, list, hint);

    let known = { max_tags: 0, tags: [] };
    let chosen = []; // tags, in order
    let offered = [];
    let active = -1; // the place in `offered`

    const full = () => chosen.length >= known.max_tags;

    function tell(...parts) {
      hint.textContent = [...parts, full() ? words.full : words.hint].filter(Boolean).join(" ");
    }

    function showChips() {
      chips.replaceChildren(
        ...chosen.map((tag) => {
          const remove = make("button", { type: "button", "aria-label": `${words.remove} ${tag.name}` }, "×");
          remove.addEventListener("click", () => {
            drop(tag);
            input.focus();
          });
          const field = make("input", { type: "hidden", name: "tags", value: tag.number });
          return make("li", { class: "tag" }, tag.name, field, remove);
        }),
      );
    }

    function showList(open) {
      offered = open && !full() ? matches(known.tags.filter((tag) => !chosen.includes(tag)), fold(input.value)) : [];
      list.replaceChildren(...offered.map(option));
      list.hidden = offered.length === 0;
      input.setAttribute("aria-expanded", String(!list.hidden));
      move(input.value && offered.length ? 0 : -1);
      if (open && input.value && !full()) tell(offered.length ? "" : words.nothing);
    }

    function option(tag, place) {
      const item = make(
        "li",
        { role: "option", id: `option-${place}`, "aria-selected": "false" },
        make("b", {}, tag.name),
        make("span", { class: "number" }, String(tag.number)),
      );
      const more = [tag.synonyms.join(", "), tag.description].filter(Boolean).join(" · ");
      if (more) item.append(make("small", {}, more));
      item.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus
      item.addEventListener("click", () => add(tag));
      return item;
    }

    function move(place) {
      list.children[active]?.setAttribute("aria-selected", "false");
      active = place;
      const item = list.children[active];
      if (item) {
        item.setAttribute("aria-selected", "true");
        item.scrollIntoView({ block: "nearest" });
        input.setAttribute("aria-activedescendant", item.id);
      } else {
        input.removeAttribute("aria-activedescendant");
      }
    }

    function add(tag) {
      chosen.push(tag);
      input.value = "";
      showChips();
      showList(false);
      tell(`${words.added} ${tag.name}.`);
      input.focus({ preventScroll: true });
    }

    function drop(tag) {
      chosen = chosen.filter((other) => other !== tag);
      showChips();
      showList(Boolean(input.value));
      tell(`${words.removed} ${tag.name}.`);
    }

    input.addEventListener("input", () => {
      if (full()) tell();
      showList(Boolean(input.value));
    });

    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const { key } = event;
      if (key === "ArrowDown" || key === "ArrowUp") {
        event.preventDefault();
        if (list.hidden) showList(true);
        const last = offered.length - 1;
        if (key === "ArrowDown") move(active >= last ? 0 : active + 1);
        else move(active <= 0 ? last : active - 1);
      } else if (key === "Enter") {
        event.preventDefault();
        if (event.ctrlKey || event.metaKey) save();
        else if (offered[active]) add(offered[active]);
        else if (!input.value) save();
      } else if (key === "Backspace" && !input.value && chosen.length) {
        event.preventDefault();
        drop(chosen.at(-1));
      } else if (key === "Escape" && !list.hidden && !input.value) {
        event.stopPropagation(); // the list first, then the whole
        showList(false);
      }
    });

    function save() {
      if (chosen.length) form.requestSubmit();
      else tell(words.empty);
    }

    form.addEventListener("submit", (event) => {
      if (chosen.length) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      tell(words.empty);
      input.focus();
    }, true);

    details.fill = async () => {
      const from = focused?.isConnected ? focused : document.querySelector(".pick");
      const numbers = [...from.querySelectorAll(".tag")].map((tag) => Number(tag.dataset.number));
      input.value = "";
      input.focus({ preventScroll: true });
      try {
        known = await load(form);
      } catch {
        hint.textContent = words.failed;
        return;
      }
      const byNumber = new Map(known.tags.map((tag) => [tag.number, tag]));
      chosen = numbers.map((number) => byNumber.get(number)).filter(Boolean);
      showChips();
      showList(Boolean(input.value)); // somebody may have typed meanwhile
      tell();
    };
  }

  document.addEventListener("focusin", (event) => {
    const pick = event.target.closest(".pick");
    if (pick) focused = pick;
    else if (!event.target.closest(".act")) focused = null;
  });

  document.addEventListener(
    "toggle",
    (event) => {
      const details = event.target;
      if (details.id !== "correct" || !details.open) return;
      if (!details.fill) build(details);
      details.fill();
    },
    true,
  );

  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 500));
  idle(() => {
    const form = document.querySelector("#correct form");
    if (form) load(form).catch(() => {});
  });
})();
