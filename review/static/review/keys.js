// Single keys. A control says its own: data-key="1"; a reviewer may give it another, or none,
// in the dialog under ?, which is kept in this browser. No key acts while somebody types.
"use strict";
(() => {
  const KEPT = "tagger.keys"; // {"off": false, "keys": {"e": "c", "n": ""}}
  const FACES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "␣" };
  const dialog = document.getElementById("keys");
  let kept = read();

  function read() {
    try {
      return { off: false, keys: {}, ...JSON.parse(localStorage.getItem(KEPT)) };
    } catch {
      return { off: false, keys: {} }; // unreadable, or storage is forbidden
    }
  }

  function keep() {
    try {
      localStorage.setItem(KEPT, JSON.stringify(kept));
    } catch {
      // Storage is forbidden: the change lasts as long as the page.
    }
    label();
  }

  const bound = (key) => kept.keys[key] ?? key;
  const face = (key) => FACES[key] ?? key.toUpperCase();

  function pressed(event) {
    if (event.key === "？") return "?"; // full width, from a Chinese keyboard
    // The digit row gives digits only with Shift on some layouts (French): go by the place.
    if (/^Digit\d$/.test(event.code) && !event.shiftKey) return event.code.slice(5);
    return event.key.length === 1 ? event.key.toLowerCase() : event.key;
  }

  // What S has opened has keys of its own, data-own="1": they are in force while it is open.
  function controlOf(key) {
    const scope = document.querySelector("details[open] > [data-scope]");
    const own = scope?.querySelector(`[data-own="${CSS.escape(key)}"]`);
    if (own) return own;
    const controls = [...document.querySelectorAll("[data-key]")];
    const control = controls.find((control) => bound(control.dataset.key) === key);
    if (scope && control?.matches(".pick")) return null;
    // What E or S has put away does nothing; a phone puts the candidates away.
    return control?.getClientRects().length ? control : null;
  }

  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.isComposing || event.defaultPrevented) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (document.querySelector("dialog[open]")) return;
    // For a moment the focus may still be in a dialog that has just been closed.
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing && !typing.closest("dialog")) return;
    const key = pressed(event);
    if (key === "Escape") document.querySelector("[data-escape]")?.click();
    // A box that scrolls sideways keeps its arrows.
    if (key.startsWith("Arrow") && event.target.closest(".doc")) return;
    const control = controlOf(key);
    if (!control || control.hidden || control.disabled) return;
    if (kept.off && !control.matches("[data-opens]")) return;
    event.preventDefault();
    if (control.matches("input")) control.focus();
    else control.click();
  });

  // --- What the controls and the dialog show ------------------------------------

  function label() {
    for (const control of document.querySelectorAll("[data-key]")) {
      const key = bound(control.dataset.key);
      const off = !key || (kept.off && !control.matches("[data-opens]"));
      const cap = control.querySelector("kbd");
      if (cap) {
        cap.textContent = face(key);
        cap.classList.toggle("off", off);
      }
      if (off) control.removeAttribute("aria-keyshortcuts");
      else control.setAttribute("aria-keyshortcuts", key);
    }
    if (!dialog) return;
    document.getElementById("keys-on").checked = !kept.off;
    for (const field of dialog.querySelectorAll(".key")) {
      field.value = face(bound(field.dataset.for)) || "–";
    }
  }

  dialog?.addEventListener("keydown", (event) => {
    const field = event.target;
    if (!dialog.open || !field.matches(".key") || event.ctrlKey || event.altKey || event.metaKey) return;
    if (["Tab", "Escape", "Enter", "Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
    event.preventDefault();
    const key = ["Delete", "Backspace"].includes(event.key) ? "" : pressed(event);
    if (key.length > 1 && !FACES[key]) return; // F5, Home, …
    for (const other of dialog.querySelectorAll(".key")) {
      // One key, one meaning: who had it before has none now.
      if (key && bound(other.dataset.for) === key) kept.keys[other.dataset.for] = "";
    }
    kept.keys[field.dataset.for] = key;
    keep();
  });

  dialog?.addEventListener("click", (event) => {
    if (!event.target.closest("[data-default]")) return;
    kept = { off: false, keys: {} };
    keep();
  });

  document.getElementById("keys-on")?.addEventListener("change", (event) => {
    kept.off = !event.target.checked;
    keep();
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens).showModal();
  });

  for (const control of document.querySelectorAll("[data-opens]")) control.hidden = false;
  document.addEventListener("desk:arrived", label);
  label();
})();
