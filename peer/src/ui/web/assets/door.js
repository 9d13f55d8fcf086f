// Takes the key in the link to the peer, which gives a cookie for it once.
"use strict";
(() => {
  const said = document.getElementById("said");
  async function open() {
    const token = location.hash.slice(1);
    if (!token) return;
    // The key is not left in the address.
    history.replaceState(null, "", location.pathname);
    try {
      const answer = await fetch("/key", { method: "POST", body: new URLSearchParams({ token }) });
      if (answer.ok) return location.reload();
      said.textContent = "This link was used already, or is of an earlier start.";
    } catch {
      said.textContent = "The peer does not answer. Is it still running?";
    }
  }
  // A link that is put into the address of a closed door loads nothing anew.
  addEventListener("hashchange", open);
  open();
})();
