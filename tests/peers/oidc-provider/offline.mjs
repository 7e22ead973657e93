// A resource server that verifies a token offline, by what the server publishes and nothing else:
// node offline.mjs URL TOKEN AUDIENCE. Prints the claims, or the code of why not.
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [url, token, audience] = process.argv.slice(2);
try {
  const answer = await fetch(`${url}/.well-known/oauth-authorization-server`);
  const { issuer, jwks_uri } = await answer.json();
  const keys = createRemoteJWKSet(new URL(jwks_uri));
  const algorithms = ['EdDSA', 'ES256'];
  const { payload } = await jwtVerify(token, keys, { issuer, audience, algorithms });
  console.log(JSON.stringify(payload));
} catch (error) {
  console.error(error.code ?? error);
  process.exitCode = 1;
}
