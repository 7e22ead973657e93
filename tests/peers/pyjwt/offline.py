"""A resource server that verifies a token offline, by what the server publishes and nothing else.

python offline.py URL TOKEN AUDIENCE. Prints the claims, or the name of the error of why not.
"""

import json
import sys
import urllib.request

import jwt

url, token, audience = sys.argv[1:]
try:
    with urllib.request.urlopen(f"{url}/.well-known/oauth-authorization-server") as answer:
        metadata = json.load(answer)
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
    claims = jwt.decode(
        token,
        key,
        algorithms=["EdDSA", "ES256"],
        issuer=metadata["issuer"],
        audience=audience,
        options={"require": ["exp", "iat", "nbf", "iss", "aud", "sub", "jti"]},
    )
except jwt.PyJWTError as error:
    sys.exit(type(error).__name__)
print(json.dumps(claims))
