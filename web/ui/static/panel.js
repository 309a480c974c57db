// What scripts add to the panel: times in the viewer's zone, keys, and the one
// policy by which markup may enter a page.
"use strict";
(() => {
  // Markup enters a page as the answer of this server to a request of htmx, and in
  // no other way: what was announced last is let through, once.
  let announced = null;
  if (window.trustedTypes) {
    trustedTypes.createPolicy("default", {
      createHTML: (text) => {
        if (announced !== null && (text === announced || text.includes(announced))) return text;
        if (text === "" || text === "<body><template class=\"internal-htmx-wrapper\"></template></body>") return text;
        return null;
      },
    });
  }
  const announce = (text) => { announced = text.replace(/<head(\s[^>]*)?>[\s\S]*?<\/head>/i, ""); };
  document.addEventListener("htmx:beforeSwap", (e) => { announce(e.detail.serverResponse); });
  document.addEventListener("htmx:sseBeforeMessage", (e) => { announce(e.detail.data); });

  // The server writes times in the zone that this cookie names; it is no secret.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.split("; ").includes("zone=" + zone)) {
    document.cookie = "zone=" + zone + "; Path=/; Max-Age=31536000; SameSite=Strict; Secure";
  }

  // What works with scripts alone is not shown without.
  document.documentElement.dataset.scripts = "on";

  // Keys. Single ones may be turned off (WCAG 2.1.4).
  const typing = (el) => el.closest("input, textarea, select, [contenteditable]");
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const move = (by) => {
    const all = rows();
    if (all.length === 0) return;
    const at = all.findIndex((r) => r.contains(document.activeElement));
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    (next.querySelector("a, button") || next).focus();
  };
  const press = (name) => {
    const el = document.querySelector(`[data-key="${name}"]`);
    if (el) { el.focus(); el.click(); }
  };
  // What the page of help says of single keys.
  const tellKeys = () => {
    const off = localStorage.getItem("keys") === "off";
    for (const b of document.querySelectorAll("[data-keys]")) {
      b.setAttribute("aria-pressed", String((b.dataset.keys === "off") === off));
    }
  };
  tellKeys();
  let going = false;
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target) || localStorage.getItem("keys") === "off") return;
    if (going) {
      going = false;
      const to = document.querySelector(`[data-go="${CSS.escape(e.key)}"]`);
      if (to) { e.preventDefault(); to.click(); }
      return;
    }
    switch (e.key) {
      case "/": { const find = document.getElementById("find"); if (find) { e.preventDefault(); find.focus(); } break; }
      case "g": going = true; break;
      case "j": move(1); break;
      case "k": move(-1); break;
      case "?": location.href = "/help"; break;
      case "a": case "r": case "x": press(e.key); break;
    }
  });
  // How long a message may still be read.
  let counted = false;
  const countdown = () => {
    for (const el of document.querySelectorAll("[data-until]")) {
      const left = Math.floor((new Date(el.dataset.until) - Date.now()) / 1000);
      if (left < 0) { // once: the clock here may be wrong
        el.textContent = "";
        if (counted) location.reload();
        counted = false;
        return;
      }
      counted = true;
      el.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left`;
    }
  };
  if (document.querySelector("[data-until]")) { countdown(); setInterval(countdown, 1000); }
  // Passkeys: the form takes what the browser answers to the server's question.
  const passkey = async (b) => {
    const note = b.form.querySelector("[data-passkey-note]"), api = PublicKeyCredential;
    b.disabled = true;
    try {
      const asked = await fetch(b.dataset.ask);
      if (!asked.ok || asked.redirected) throw new Error("the server asks for none: reload the page");
      const publicKey = await asked.json();
      const got = b.dataset.passkey === "create"
        ? await navigator.credentials.create({ publicKey: api.parseCreationOptionsFromJSON(publicKey) })
        : await navigator.credentials.get({ publicKey: api.parseRequestOptionsFromJSON(publicKey) });
      b.form.elements[b.dataset.into || "passkey"].value = JSON.stringify(got.toJSON());
      b.form.submit();
    } catch (e) {
      if (note) note.textContent = e.name === "InvalidStateError" ? "This device has a passkey of yours already." : "No passkey was used: " + e.message;
      b.disabled = false;
    }
  };
  if (window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON) {
    for (const el of document.querySelectorAll("[data-passkey], [data-passkey-also]")) el.hidden = false;
    document.addEventListener("click", (e) => {
      const b = e.target.closest("[data-passkey]");
      if (b && (b.dataset.passkey !== "create" || b.form.reportValidity())) passkey(b);
    });
  }
  document.addEventListener("click", (e) => {
    if (e.target.closest("[data-print]")) { print(); return; }
    const keys = e.target.closest("[data-keys]");
    if (keys) {
      localStorage.setItem("keys", keys.dataset.keys);
      tellKeys();
      return;
    }
    const copy = e.target.closest("[data-copy], [data-text]");
    if (!copy) return;
    const from = document.getElementById(copy.dataset.copy);
    navigator.clipboard.writeText(copy.dataset.text ?? from.value ?? from.textContent).then(() => {
      copy.dataset.done = "yes";
      const word = copy.querySelector("[data-word]");
      if (word) word.textContent = "Copied"; else copy.title = copy.ariaLabel = "Copied";
    });
  });
})();
