"use strict";
// What the page does without this: everything but saving to a file.
const form = document.getElementById("form");

// A field that is needed under a condition has a star that the style sheet shows when the condition holds. The browser can
// insist on it just then.
function insist() {
  for (const star of form.querySelectorAll(".star[id]")) {
    const control = document.getElementById(star.id.replace(/-star$/, ""));
    if (control && "required" in control) {
      control.required = star.checkVisibility();
    }
  }
}
form.addEventListener("input", insist);
insist();

// A browser cannot lead to what is wrong in a part that is folded away.
form.addEventListener("invalid", (event) => {
  for (let fold = event.target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
    fold.open = true;
  }
}, true);

if (form.dataset.file) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = new URLSearchParams(new FormData(form)).toString();
    const link = document.createElement("a");
    link.href = "data:application/x-www-form-urlencoded," + encodeURIComponent(text);
    link.download = form.dataset.file;
    link.click();
    document.getElementById("saved").textContent = "Saved as " + form.dataset.file;
  });
}

const summary = document.querySelector(".summary");
if (summary) {
  summary.focus();
}
