// "All on this page" ticks every row; a row that is unticked unticks it.
"use strict";
const every = document.querySelector("[data-every]");
const ticks = [...document.querySelectorAll('input[name="document"]')];
if (every) {
  const show = () => {
    every.checked = ticks.every((tick) => tick.checked);
    every.indeterminate = !every.checked && ticks.some((tick) => tick.checked);
  };
  every.addEventListener("change", () => ticks.forEach((tick) => (tick.checked = every.checked)));
  ticks.forEach((tick) => tick.addEventListener("change", show));
  addEventListener("pageshow", show); // the browser may have kept the ticks
}
