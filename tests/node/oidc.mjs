// An authorization server that nobody here wrote (oidc-provider), and a small API behind it, on one port of 127.0.0.1.
//
// The argument is JSON; all of it may be left out:
//   redirect_uris          where it may send people back to
//   scopes                 the scopes that it knows beside `openid` and `offline_access`
//   default_scope          what a request that names no scope is for; without this it is denied
//   access_token_seconds   how long an access token lives
//   client_secret          the secret of its one client
//   client_auth            client_secret_basic, client_secret_post
//   rotate                 whether a refresh token is good for one use, and a second use revokes the whole grant
//   interactive            whether a page asks, with buttons #allow and #deny; otherwise everybody consents at once
// When it listens it prints one line of JSON: where everything is, and its client. It ends with its standard input.
//
// Who signs in is `login_hint`, else `anna`. The API takes the access tokens: GET /api/me, POST /api/notes {text}.
// `control` is for tests: what was asked, and what is to go wrong. See tests/src/oidc.rs.

import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Provider, interactionPolicy } from "oidc-provider";

const given = JSON.parse(process.argv[2] ?? "{}");
const scopes = given.scopes ?? ["profile:read", "notes:write"];
const client = { client_id: given.client_id ?? "jackfield", client_secret: given.client_secret ?? "oidc-client-secret-7f3a9c" };

const server = createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

// Whoever is named signs in, also where a browser is still signed in as somebody else.
const policy = interactionPolicy.base();
policy.get("login").checks.add(
  new interactionPolicy.Check("somebody_else", "somebody else is named", (ctx) => {
    const { session, params } = ctx.oidc;
    return Boolean(params.login_hint && session.accountId && session.accountId !== params.login_hint);
  }),
);

const provider = new Provider(issuer, {
  clients: [
    {
      ...client,
      redirect_uris: given.redirect_uris ?? ["http://localhost:8080/oauth/callback"],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: given.client_auth ?? "client_secret_basic",
      application_type: "native",
    },
  ],
  scopes: ["openid", "offline_access", ...scopes],
  pkce: { required: () => true },
  rotateRefreshToken: given.rotate ?? true,
  issueRefreshToken: async (_, client) => client.grantTypeAllowed("refresh_token"),
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: { devInteractions: { enabled: false }, revocation: { enabled: true }, rpInitiatedLogout: { enabled: false } },
  interactions: { policy, url: (_, interaction) => `/interaction/${interaction.uid}` },
  routes: { authorization: "/authorize", token: "/token", revocation: "/revoke" },
  ttl: {
    AccessToken: given.access_token_seconds ?? 3600,
    AuthorizationCode: 60,
    RefreshToken: 86400,
    Grant: 86400,
    Interaction: 600,
    Session: 86400,
    IdToken: 3600,
  },
  cookies: { keys: ["for tests alone"] },
});

/** What has happened, for whoever asks `control`. */
let seen;
/** What is to go wrong, in this order. */
let faults;
let denials;
const forget = () => {
  seen = { tokens: [], revocations: 0, authorizations: [], api: [] };
  faults = [];
  denials = [];
};
forget();

const accessTokens = new Set();
const grants = new Set();
provider.on("access_token.saved", (token) => accessTokens.add(token.jti));
provider.on("grant.saved", (grant) => grants.add(grant.jti));
provider.on("server_error", (_, error) => process.stderr.write(`${error.stack}\n`));

provider.use(async (ctx, next) => {
  const place = `${ctx.method} ${ctx.path}`;
  if (place === "POST /revoke") {
    seen.revocations += 1;
  }
  if (place !== "POST /token") {
    return next();
  }
  const noted = { grant_type: null, status: null, error: null, answered: false };
  seen.tokens.push(noted);
  const fault = faults.find((fault) => fault.times > 0);
  if (fault) {
    fault.times -= 1;
  }
  const fails = fault && (fault.status || fault.cut);
  if (!(fails && fault.when === "before")) {
    await next();
    noted.grant_type = ctx.oidc?.params?.grant_type ?? null;
    noted.status = ctx.status;
    noted.error = ctx.body?.error ?? null;
  }
  if (fault?.delay_ms) {
    await sleep(fault.delay_ms);
  }
  if (fault?.cut) {
    ctx.respond = false;
    ctx.req.socket.destroy();
    return;
  }
  if (fails) {
    ctx.status = fault.status;
    ctx.body = fault.body ?? "";
    ctx.set("content-type", fault.content_type ?? "text/html");
    ctx.set(fault.headers ?? {});
  }
  noted.answered = !fails;
});

const json = (res, status, value) => {
  const body = JSON.stringify(value);
  res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
};

async function body(req) {
  const chunks = [];
  for await (const chunk of req) {
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  return text ? JSON.parse(text) : {};
}

/** Signs in whoever is meant and consents, or does not. */
async function interaction(req, res, url) {
  const { params, prompt, session, grantId } = await provider.interactionDetails(req, res);
  const answer = url.searchParams.get("answer");
  if (given.interactive && !answer && prompt.name === "consent") {
    const page = `<!doctype html><title>Consent</title><p>${encodeURIComponent(params.scope ?? "")}</p>
      <a id="allow" href="${url.pathname}?answer=allow">Allow</a> <a id="deny" href="${url.pathname}?answer=deny">Deny</a>`;
    res.writeHead(200, { "content-type": "text/html" }).end(page);
    return;
  }
  const denial = answer === "deny" ? { error: "access_denied", description: "the user said no" } : denials.shift();
  if (denial) {
    const { error, description } = denial;
    await provider.interactionFinished(req, res, { error, error_description: description });
    return;
  }
  if (prompt.name === "login") {
    const login = { accountId: params.login_hint ?? "anna" };
    await provider.interactionFinished(req, res, { login }, { mergeWithLastSubmission: false });
    return;
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(" "));
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(req, res, { consent }, { mergeWithLastSubmission: true });
}

/** The provider's own API. */
async function api(req, res, url) {
  const place = `${req.method} ${url.pathname}`;
  const bearer = /^Bearer (\S+)$/.exec(req.headers.authorization ?? "")?.[1];
  const token = bearer && (await provider.AccessToken.find(bearer));
  const noted = { place, user: token?.accountId ?? null, scope: token?.scope ?? null, status: 401 };
  seen.api.push(noted);
  const answer = (status, value) => json(res, (noted.status = status), value);
  if (!token) {
    return answer(401, { error: "invalid_token", message: "the access token is expired, revoked or unknown" });
  }
  const needed = { "GET /api/me": "profile:read", "POST /api/notes": "notes:write" }[place];
  if (!needed) {
    return answer(404, { error: "not_found", message: "there is nothing here" });
  }
  if (!(token.scope ?? "").split(" ").includes(needed)) {
    return answer(403, { error: "insufficient_scope", message: `the access token lacks ${needed}` });
  }
  const id = token.accountId;
  if (place === "GET /api/me") {
    return answer(200, { id, account_id: "account-1", email: `${id}@example.com` });
  }
  const { text } = await body(req);
  return answer(201, { id: `note-${seen.api.length}`, text, by: id });
}

async function destroyGrants() {
  for (const id of grants) {
    for (const kind of ["AccessToken", "RefreshToken", "AuthorizationCode"]) {
      await provider[kind].revokeByGrantId(id);
    }
    await (await provider.Grant.find(id))?.destroy();
  }
  grants.clear();
}

async function control(req, res, url) {
  const asked = req.method === "POST" ? await body(req) : {};
  switch (`${req.method} ${url.pathname}`) {
    case "GET /control/seen":
      return json(res, 200, { ...seen, waiting: faults.reduce((sum, fault) => sum + fault.times, 0) });
    case "POST /control/faults":
      faults.push({ times: 1, when: "before", ...asked });
      return json(res, 200, {});
    case "POST /control/deny":
      denials.push({ error: "access_denied", description: "the user said no", ...asked });
      return json(res, 200, {});
    case "POST /control/expire":
      for (const id of accessTokens) {
        await (await provider.AccessToken.find(id))?.destroy();
      }
      accessTokens.clear();
      return json(res, 200, {});
    case "POST /control/revoke":
      await destroyGrants();
      return json(res, 200, {});
    case "POST /control/forget":
      forget();
      return json(res, 200, {});
    default:
      return json(res, 404, { error: "there is no such control" });
  }
}

const callback = provider.callback();
server.on("request", async (req, res) => {
  const url = new URL(req.url, issuer);
  try {
    if (url.pathname.startsWith("/interaction/")) {
      await interaction(req, res, url);
    } else if (url.pathname.startsWith("/api/")) {
      await api(req, res, url);
    } else if (url.pathname.startsWith("/control/")) {
      await control(req, res, url);
    } else {
      if (url.pathname === "/authorize") {
        seen.authorizations.push(Object.fromEntries(url.searchParams));
        if (given.default_scope && !url.searchParams.has("scope")) {
          url.searchParams.set("scope", given.default_scope);
          req.url = `${url.pathname}${url.search}`;
        }
      }
      callback(req, res);
    }
  } catch (error) {
    process.stderr.write(`${error.stack}\n`);
    json(res, 500, { error: String(error) });
  }
});

// Nobody is left behind when the test that has started it is gone.
process.stdin.on("end", () => process.exit(0)).resume();

const places = { oauth: issuer, authorize: `${issuer}/authorize`, token: `${issuer}/token`, revoke: `${issuer}/revoke` };
console.log(JSON.stringify({ issuer, ...places, api: `${issuer}/api`, control: `${issuer}/control`, ...client }));
