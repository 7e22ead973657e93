// The certified npm `oidc-provider` as identity provider of the end-to-end tests.
//
// One JSON object on the command line: {redirect_uris, post_logout_redirect_uris, backchannel_logout_uri,
// people: {login: claims}}. Prints {"issuer", "control"} when it is ready. The control port:
//   POST /rotate          new signing keys; the old ones are gone
//   POST /remove?sub=     the person is no more, and refreshes nothing
//   POST /revoke?sub=     the person refreshes nothing they have, and may sign in again
//   POST /withhold        from now on nobody is given a refresh token
//   POST /hold            holds the answer to the next request for tokens back, for two seconds
//   POST /logout?sub=     ends the person's sessions, and tells the client on its back channel
//   POST /down, /up       stops answering (connections are refused), and answers again
//   GET  /requests        what was asked, in order
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const config = JSON.parse(process.argv[2]);
const people = new Map(Object.entries(config.people));
const requests = [];
const sids = new Map();
let withholds = false;
let holds = false;

function keys() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: randomUUID() }] };
}

function provider(issuer, jwks, adapter) {
  const client = {
    redirect_uris: config.redirect_uris,
    post_logout_redirect_uris: config.post_logout_redirect_uris ?? [],
    backchannel_logout_uri: config.backchannel_logout_uri,
    backchannel_logout_session_required: true,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
  const made = new Provider(issuer, {
    adapter,
    jwks,
    clients: [
      { ...client, client_id: 'omnigent', client_secret: 'a-secret-only-the-two-of-us-know' },
      { ...client, client_id: 'omnigent-public', token_endpoint_auth_method: 'none' },
    ],
    claims: {
      openid: ['sub', 'sid'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'groups'],
    },
    conformIdTokenClaims: false,
    cookies: { keys: ['tests'] },
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => { ctx.body = `<form>${form}</form><script></script>`; },
      },
      userinfo: { enabled: true },
      resourceIndicators: { enabled: false },
    },
    // The provider's own dispatcher is for another version of fetch.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    findAccount: (_ctx, id) => {
      const claims = people.get(id);
      return claims && { accountId: id, claims: () => ({ sub: id, ...claims }) };
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: () => !withholds,
    rotateRefreshToken: () => true,
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid email profile offline_access');
      await grant.save();
      return grant;
    },
    renderError: (ctx, out) => { ctx.type = 'html'; ctx.body = `<pre>${out.error}</pre>`; },
    ttl: { AccessToken: 3600, IdToken: 3600, RefreshToken: 86400, Session: 86400, Grant: 86400, Interaction: 600 },
  });
  made.on('authorization.success', (ctx) => {
    const { accountId } = ctx.oidc.session;
    sids.set(accountId, ctx.oidc.session.sidFor('omnigent'));
  });
  return made;
}

// What is stored outlives new keys.
const stored = new Map();
class Memory {
  constructor(model) { this.model = model; }
  key(id) { return `${this.model}:${id}`; }
  async upsert(id, payload) {
    stored.set(this.key(id), payload);
    if (payload.uid && this.model === 'Session') stored.set(`uid:${payload.uid}`, id);
  }
  async find(id) { return stored.get(this.key(id)); }
  async findByUid(uid) { return this.find(stored.get(`uid:${uid}`)); }
  async findByUserCode() { return undefined; }
  async consume(id) { const found = stored.get(this.key(id)); if (found) found.consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { stored.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, value] of stored) if (value?.grantId === grantId) stored.delete(key);
  }
}

async function interaction(oidc, req, res) {
  if (req.method === 'GET') {
    res.setHeader('content-type', 'text/html');
    res.end(`<form method="post" action="${req.url}"><input name="login" value=""><button>Sign in</button></form>`
      + `<a href="${req.url}/abort">Cancel</a>`);
    return;
  }
  let body = '';
  for await (const chunk of req) body += chunk;
  const login = new URLSearchParams(body).get('login');
  const result = people.has(login)
    ? { login: { accountId: login } }
    : { error: 'access_denied', error_description: '<script>alert(1)</script> not you' };
  await oidc.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
}

let oidc;
const server = createServer(async (req, res) => {
  requests.push(`${req.method} ${req.url.split('?')[0]}`);
  if (holds && req.url.startsWith('/token')) {
    holds = false;
    const end = res.end.bind(res);
    res.end = (...all) => { setTimeout(() => end(...all), 2000); return res; };
  }
  try {
    if (req.url.startsWith('/interaction/')) await interaction(oidc, req, res);
    else oidc.callback()(req, res);
  } catch (error) {
    res.statusCode = 500;
    res.end(String(error));
  }
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const { port } = server.address();
const issuer = `http://127.0.0.1:${port}`;
oidc = provider(issuer, keys(), Memory);

const control = createServer((req, res) => {
  act(req, res).catch((error) => {
    res.statusCode = 500;
    res.end(`${error.stack}\n${error.cause?.stack}`);
  });
});

async function act(req, res) {
  const url = new URL(req.url, 'http://control');
  const sub = url.searchParams.get('sub');
  switch (url.pathname) {
    case '/rotate': oidc = provider(issuer, keys(), Memory); break;
    case '/remove': people.delete(sub); break;
    case '/revoke':
      for (const [key, value] of stored) {
        if (key.startsWith('RefreshToken:') && value.accountId === sub) stored.delete(key);
      }
      break;
    case '/withhold': withholds = true; break;
    case '/hold': holds = true; break;
    case '/logout': {
      const client = await oidc.Client.find('omnigent');
      await client.backchannelLogout(sub, sids.get(sub));
      break;
    }
    case '/down':
      await new Promise((done) => { server.close(done); server.closeAllConnections(); });
      break;
    case '/up': await new Promise((ready) => server.listen(port, '127.0.0.1', ready)); break;
    case '/requests': res.end(JSON.stringify(requests)); return;
    default: res.statusCode = 404;
  }
  res.end();
}
await new Promise((ready) => control.listen(0, '127.0.0.1', ready));
console.log(JSON.stringify({ issuer, control: `http://127.0.0.1:${control.address().port}` }));
