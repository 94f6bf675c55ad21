"use strict";
(() => {
  const PRINTED = 10;
  const cards = [...document.querySelectorAll(".example")];
  const form = document.getElementById("filters");
  const told = document.getElementById("told");
  const back = document.getElementById("back");
  const texts = new Map();

  const read = (card) => {
    if (!texts.has(card)) texts.set(card, card.textContent.toLowerCase());
    return texts.get(card);
  };

  const holds = (list, value) => !value || list.split(" ").includes(value);

  const fits = (card, wanted) =>
    (!wanted.c || card.dataset.c === wanted.c) &&
    (!wanted.s || card.dataset.s === wanted.s) &&
    (!wanted.p || card.dataset.p === wanted.p) &&
    [...card.querySelectorAll(".view")].some(
      (view) =>
        (!wanted.m || view.dataset.m === wanted.m) && holds(view.dataset.v, wanted.v) && holds(view.dataset.k, wanted.k)
    ) &&
    wanted.words.every((word) => read(card).includes(word));

  const filter = () => {
    const wanted = { words: [] };
    for (const field of form.elements) if (field.name) wanted[field.name] = field.value;
    wanted.words = (wanted.t || "").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      card.hidden = !fits(card, wanted);
      count += !card.hidden;
    }
    told.textContent = count === cards.length ? `All ${count} are listed.` : `${count} of ${cards.length} are listed.`;
  };

  if (form && cards.length) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter));
    for (const button of form.querySelectorAll("button[data-open]"))
      button.addEventListener("click", () => {
        for (const card of cards) if (!card.hidden) card.open = button.dataset.open === "yes";
      });
    filter();
  }

  // A link into a card opens it, also where the browser does not do that by itself; so does one to a filtered card.
  const reveal = () => {
    let target = null;
    try {
      target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return;
    }
    const card = target && target.closest(".example");
    if (card) {
      card.hidden = false;
      card.open = true;
      card.scrollIntoView();
    }
    if (back) back.hidden = !(from && target && target.closest(".document"));
  };

  let from = null;
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href^='#d']");
    if (link && link.closest(".example")) from = link;
  });
  if (back)
    back.addEventListener("click", () => {
      const link = from;
      back.hidden = true;
      if (!link) return;
      link.scrollIntoView({ block: "center" });
      link.focus({ preventScroll: true });
    });
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();

  // On paper come the first of those that are listed, opened; without the script the first of all.
  document.documentElement.classList.add("js");
  const opened = [];
  addEventListener("beforeprint", () => {
    const listed = cards.filter((card) => !card.hidden);
    listed.forEach((card, at) => card.classList.toggle("rest", at >= PRINTED));
    for (const part of [...document.querySelectorAll("details.print"), ...listed.slice(0, PRINTED)])
      if (!part.open) {
        part.open = true;
        opened.push(part);
      }
  });
  addEventListener("afterprint", () => {
    for (const part of opened.splice(0)) part.open = false;
  });
})();
