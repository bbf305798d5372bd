/* What answers the live page: the server that served it. */

async function ask(request) {
  let response;
  try {
    response = await fetch("ask", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(request),
    });
  } catch {
    throw new Error("nobody answers: has the program ended that served this page? Start it again, and open the address that it prints");
  }
  if (!response.ok) throw new Error(`this cannot be answered (${response.status})`);
  return response.json();
}

/* What is said of a link that nobody else can open; empty where everybody can. */
const ONLY_HERE = "It opens on this machine only, as long as the program runs that serves this page.";
