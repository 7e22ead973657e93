// Walks through the pages of a fresh server in accounts mode, as people do, and looks at each.

import { device, end, follow, look, must, password, press, sees, signIn, status, url } from "./looking.mjs";

// Claiming.
const ada = await device();
await ada.goto(url);
await sees(ada, "Nobody has claimed this server yet.");
await look(ada, "unclaimed");
await follow(ada, "Claim this server");
await look(ada, "setup");
await ada.getByLabel("Username").fill("ada");
await ada.getByLabel("Password").fill("password");
ada.expected.push("400 (Bad Request)");
await press(ada, "Claim this server");
await sees(ada, "easy to guess");
await look(ada, "setup-refused");
must((await ada.getByLabel("Username").inputValue()) === "ada", "the name has to be typed again");
await ada.getByLabel("Password").fill(password);
await press(ada, "Claim this server");
await sees(ada, "as ada, an admin.");
await look(ada, "home");
await press(ada, "Sign out");
await sees(ada, "You are not signed in");
await look(ada, "welcome");

// Signing in, with the keyboard alone; where one was going is where one arrives.
await ada.goto(`${url}/settings/tokens`);
await look(ada, "sign-in");
const size = (await (await fetch(`${url}/login`)).text()).length
  + (await (await fetch(`${url}/assets/style.css`)).text()).length;
must(size < 30000, `the sign-in page has ${size} bytes`);
ada.expected.push("401 (Unauthorized)");
await ada.keyboard.type("ada");
await ada.keyboard.press("Tab");
await ada.keyboard.type("not-the-password");
await ada.keyboard.press("Enter");
await sees(ada, "invalid username or password");
await look(ada, "sign-in-refused");
await ada.keyboard.type(password);
await ada.keyboard.press("Enter");
await sees(ada, "No tokens yet");
must(new URL(ada.url()).pathname === "/settings/tokens", "does not arrive where it was going");
await look(ada, "tokens-none");

// A token: made, copied, used, rotated, revoked.
await follow(ada, "New token");
await look(ada, "token-new");
await ada.getByLabel("Name").fill("nightly backup");
await ada.getByLabel("Only what you choose").check();
await look(ada, "token-new-scopes");
ada.expected.push("400 (Bad Request)");
await press(ada, "Make token");
await sees(ada, "Choose at least one scope.");
await ada.getByLabel("Use the API as you").check();
await press(ada, "Make token");
await sees(ada, "It is shown this once");
await look(ada, "token-shown");
await press(ada, "Copy: Try it in a terminal");
await sees(ada, "Copied");
const line = await ada.evaluate(() => navigator.clipboard.readText());
must(/^curl -H 'Authorization: Bearer ey[^']+' http/.test(line), `copied: ${line}`);
must(status(line) === "200", "the copied line does not work");
await follow(ada, "Done");
await sees(ada, "nightly backup");
must(!(await ada.content()).includes("eyJ0"), "the token is shown again");
await ada.goto(`${url}/settings/tokens/new`);
await ada.getByLabel("Name").fill("deploy on merge to main");
await ada.getByLabel("Expires").selectOption("7");
await ada.getByLabel("Only what you choose").check();
await ada.getByLabel("sessions:read").check();
await press(ada, "Make token");
await follow(ada, "Done");
await look(ada, "tokens");
await follow(ada, "Rotate nightly backup");
await look(ada, "token-rotate");
await press(ada, "Rotate token");
await press(ada, "Copy: Try it in a terminal");
await sees(ada, "Copied");
const rotated = await ada.evaluate(() => navigator.clipboard.readText());
must(status(rotated) === "200" && status(line) === "200", "no overlap");
await follow(ada, "Done");
for (const _ of [1, 2]) {
  await follow(ada, "Revoke nightly backup");
  await look(ada, "token-revoke");
  await press(ada, "Revoke token");
  await sees(ada, "it is refused from now on");
}
must(status(line) === "401" && status(rotated) === "401", "a revoked token works");
await look(ada, "token-revoked");

// A lost laptop.
const laptop = await device({ userAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15" });
await signIn(laptop, "ada");
await sees(laptop, "as ada");
await follow(ada, "Logins");
await look(ada, "logins");
await press(ada, "End Safari on macOS");
await sees(ada, "The login is ended.");
await laptop.goto(`${url}/settings/logins`);
await sees(laptop, "Sign in");
must(new URL(laptop.url()).pathname === "/login", "a lost laptop is still in");
await signIn(laptop, "ada");
await sees(laptop, "as ada");
await ada.goto(`${url}/settings/logins`);
await press(ada, "End all others");
await sees(ada, "All other logins are ended.");

// Password and identities.
await follow(ada, "Password");
await look(ada, "password");
await ada.getByLabel("Current password").fill("wrong-wrong");
await ada.getByLabel("New password", { exact: true }).fill(`${password}-2`);
await ada.getByLabel("New password, again").fill(`${password}-2`);
ada.expected.push("403 (Forbidden)");
await press(ada, "Change password");
await sees(ada, "Old password incorrect.");
await look(ada, "password-refused");
await ada.getByLabel("Current password").fill(password);
await ada.getByLabel("New password", { exact: true }).fill(`${password}-2`);
await ada.getByLabel("New password, again").fill(`${password}-2`);
await press(ada, "Change password");
await sees(ada, "Your password is changed");
await follow(ada, "Linked identities");
await look(ada, "identities");

// A colleague.
await follow(ada, "People");
await look(ada, "people");
await follow(ada, "Invite somebody");
await look(ada, "invite");
await press(ada, "Make invite link");
await look(ada, "invite-shown");
await press(ada, "Copy: Invite link");
await sees(ada, "Copied");
const invite = await ada.evaluate(() => navigator.clipboard.readText());
const bob = await device();
await bob.goto(invite);
await look(bob, "register");
await bob.getByLabel("Username").fill("bob");
await bob.getByLabel("Password").fill(password);
await press(bob, "Create account");
await sees(bob, "as bob.");
await look(bob, "home-bob");
bob.expected.push("403 (Forbidden)", "404 (Not Found)");
await bob.goto(`${url}/admin/people`);
await sees(bob, "You may not do this");
await look(bob, "forbidden");
await bob.goto(`${url}/no/such/page`);
await sees(bob, "There is nothing here");
await look(bob, "not-found");
await follow(ada, "Done");
await follow(ada, "bob");
await look(ada, "person");
await press(ada, "Make an admin");
await sees(ada, "Now an admin.");
await press(ada, "Make no admin");
await follow(ada, "Reset password");
await look(ada, "person-reset");
await press(ada, "Reset password");
await sees(ada, "It is shown this once");
await look(ada, "person-reset-shown");
const fresh = await ada.locator("#password").innerText();
await signIn(bob, "bob", fresh);
await sees(bob, "as bob.");
await ada.goto(`${url}/admin/people/bob`);
await press(ada, "Disable");
await sees(ada, "Disabled: signed out everywhere");
await look(ada, "person-disabled");
await follow(ada, "Delete");
await look(ada, "person-delete");
await press(ada, "Delete account");
await sees(ada, "The account is deleted");
await follow(ada, "Audit");
await sees(ada, "proves that nothing is missing");
must((await ada.locator(".rows code").first().innerText()) === "account.deleted", "not the newest first");
await look(ada, "audit");
await ada.getByLabel("Event").selectOption("password.reset");
await ada.getByLabel("Account").fill("bob");
await press(ada, "Show");
await ada.waitForURL("**/admin/audit?event=password.reset&account=bob");
must((await ada.locator(".rows > li").count()) === 1, "the filter lets more through, or nothing");
await look(ada, "audit-filtered");
await follow(ada, "Everything");
await follow(ada, "Backends");
await look(ada, "backends");
await follow(ada, "Configuration");
await look(ada, "config");

// A command line that waits.
const opened = await (await fetch(`${url}/auth/cli-login`, { method: "POST", headers: { "user-agent": "omnigent/0.1.0" } })).json();
await ada.goto(url + opened.login_url);
await sees(ada, opened.user_code);
await look(ada, "confirm-cli");
await press(ada, "Approve");
await sees(ada, "go back to your terminal");
await look(ada, "confirmed");
const polled = await fetch(`${url}/auth/cli-poll?ticket=${opened.ticket}`);
must(polled.status === 200, "the approved command line gets nothing");

await end();
