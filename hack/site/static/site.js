// Search in the browser: a section is found if it has all words; those with the words in a heading come first.
const root = document.body.dataset.root;
const found = document.querySelector("#found");
document.querySelector("input").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = (s) => words.filter((w) => (s.page + " " + s.heading).toLowerCase().includes(w)).length;
  const hits = words.length ? sections.filter((s) => words.every((w) => (s.page + s.text).toLowerCase().includes(w))) : [];
  found.replaceChildren(...hits.sort((a, b) => rank(b) - rank(a)).slice(0, 15).map((s) => {
    const item = document.createElement("li"), link = document.createElement("a"), at = s.text.toLowerCase().indexOf(words[0]);
    link.href = root + s.url;
    link.textContent = s.heading ? s.page + ": " + s.heading : s.page;
    item.append(link, " ", s.text.slice(Math.max(0, at - 40), at + 120));
    return item;
  }));
});
