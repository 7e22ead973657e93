// Copies what a button names. Pages work without it.
"use strict";
if (navigator.clipboard) {
  document.documentElement.classList.add("can-copy");
  const said = document.getElementById("said");
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Failed";
      }
      said.textContent = button.textContent;
      setTimeout(() => { button.textContent = label; said.textContent = ""; }, 2000);
    });
  }
}
