/** `fetch` with this tab's token: shows it, keeps the fresh one that comes back, forgets a dead one. */
export async function tokenFetch(url, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = new Headers(options.headers);
  if (token) headers.set("Session-ID", token);

  const response = await fetch(url, { ...options, headers });
  const fresh = response.headers.get("Session-ID");
  // A 401 may be the answer to a token that another request has replaced by now.
  const isDead = response.status === 401 && sessionStorage.getItem("token") === token;
  if (fresh) sessionStorage.setItem("token", fresh);
  else if (fresh === "" || isDead) sessionStorage.removeItem("token");
  return response;
}
