// Walks through what people see whose server signs them in at an identity provider: there and back, a
// token from the page to the shell, a device that asks, and out again.

import { device, end, follow, look, must, press, sees, status, url } from "./looking.mjs";

const issuer = process.env.ISSUER;
const ada = await device();
ada.mayAsk.push(issuer);
// The form there is the provider's, without a style or an icon.
ada.expected.push("404 (Not Found)");

// There and back, to where one was going.
await ada.goto(`${url}/settings/tokens`);
await ada.waitForURL(`${issuer}/interaction/**`);
await ada.locator("input[name=login]").fill("ada");
await press(ada, "Sign in");
await sees(ada, "API tokens");
must(ada.url() === `${url}/settings/tokens`, `arrived at ${ada.url()}`);
await look(ada, "oidc-tokens");
must((await ada.getByRole("link", { name: "Password" }).count()) === 0, "a password nobody has");

// A token.
await follow(ada, "New token");
await ada.getByLabel("Name").fill("nightly");
await press(ada, "Make token");
await sees(ada, "It is shown this once");
const line = await ada.locator("#curl").innerText();
must(status(line) === "200", "the new token does not work");
await look(ada, "oidc-token-shown");
await follow(ada, "Linked identities");
await sees(ada, issuer);
await look(ada, "oidc-identities");

// A device that asks: whoever is signed in for longer signs in once more.
const asked = await (await fetch(`${url}/oauth/device/authorize`, {
  method: "POST", headers: { "content-type": "application/json" }, body: "{}",
})).json();
await ada.goto(asked.verification_uri_complete);
if (ada.url().startsWith(issuer)) {
  await ada.locator("input[name=login]").fill("ada");
  await press(ada, "Sign in");
}
await sees(ada, asked.user_code);
await look(ada, "oidc-device");
await press(ada, "Approve");
await sees(ada, "Connected");
await look(ada, "oidc-device-connected");
const exchanged = await fetch(`${url}/oauth/token`, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: asked.device_code,
  }),
});
const { access_token: access } = await exchanged.json();
const sessions = `curl -H 'Authorization: Bearer ${access}' ${url}/v1/sessions`;
must(status(sessions) === "200", "the device cannot act");

// Revoked: the token and the device, at once.
await ada.goto(`${url}/settings/tokens`);
await follow(ada, "Revoke nightly");
await press(ada, "Revoke token");
await sees(ada, "revoked");
must(status(line) === "401", "the revoked token works");
await follow(ada, "Logins");
await look(ada, "oidc-logins");

await end();
